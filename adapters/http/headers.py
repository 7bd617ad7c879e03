"""The headers that requests may have and answers do have, as OpenAPI tells of them. What they mean stands here once."""

from typing import Any

from adapters.http import examples

Header = dict[str, Any]


def _header(description: str, example: str, **schema: Any) -> Header:
    return {"description": description, "schema": {"type": "string"} | schema, "example": example}


TAKEN: dict[str, Header] = {
    "Idempotency-Key": _header(
        "Makes the request once: the same key and body give the first answer again, for seven days.",
        "order-4711",
        pattern=r"^[!-~]{1,255}$",
    ),
    "If-Match": _header("The ETag that the thing must still have, compared strongly; otherwise 412.", '"3"'),
    "If-None-Match": _header("The ETag that is known already; 304 as long as it still is the one.", '"3"'),
    "Prefer": _header("`wait=20`: how many seconds the answer may wait for the end of the work, at most 60.", "wait=1"),
    "Last-Event-ID": _header("The position after which the stream goes on.", "0", pattern=r"^[0-9]{1,18}$"),
    "X-Request-ID": _header(
        "The id under which this request is logged: 1 to 128 of `A-Z a-z 0-9 . _ : / + = @ -`. Another is replaced.",
        "checkout-7",
    ),
    "X-Correlation-ID": _header(
        "What this belongs to; it stands beside every event that follows. Otherwise it is the request's id.", "cart-12"
    ),
    "traceparent": _header(
        "The caller's trace (W3C Trace Context).", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    ),
}
ANSWERED: dict[str, Header] = {
    "Allow": _header("The methods of this address.", "GET, HEAD, OPTIONS"),
    "Cache-Control": _header("For how long it may be kept.", "no-store"),
    "Content-Security-Policy": _header("The page loads nothing from anywhere.", "default-src 'none'"),
    "ETag": _header("Changes with everything that changes in the thing.", '"3"', pattern=r'^"[^"]*"$'),
    "Idempotency-Replayed": _header("This is the first answer again.", "true", const="true"),
    "Link": _header("The next page.", f'</v1/tasks?limit=1&after={examples.TASK_ID}>; rel="next"'),
    "Location": _header("Where the thing is to be found.", f"/v1/tasks/{examples.TASK_ID}", pattern="^/"),
    "Postcommit-Epoch": _header("The log's epoch: in another one positions are others.", str(examples.EPOCH)),
    "Preference-Applied": _header("Prefer was heeded.", "wait=20", pattern=r"^wait=[0-9]+$"),
    "Retry-After": _header("Seconds after which to ask again.", "1", pattern=r"^[0-9]+$"),
    "WWW-Authenticate": _header("How to say who calls.", "Bearer", const="Bearer"),
    "Accept-Encoding": _header("How a body may be coded: not at all.", "identity", const="identity"),
    "X-Accel-Buffering": _header("Proxies are to pass every frame on at once.", "no", const="no"),
    "X-Content-Type-Options": _header("The media type is what is said.", "nosniff", const="nosniff"),
    "X-Request-ID": _header(
        "The id under which this request is logged.", "checkout-7", pattern=r"^[A-Za-z0-9._:/+=@-]{1,128}$"
    ),
}
