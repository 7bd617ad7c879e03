"""The headers that requests may have and answers do have, as OpenAPI tells of them. What they mean stands here once."""

from typing import Any

from adapters.http import examples

Header = dict[str, Any]


def _header(description: str, example: str, **schema: Any) -> Header:
    return {"description": description, "schema": {"type": "string"} | schema, "example": example}


TAKEN: dict[str, Header] = {
    "Content-Length": _header("How many bytes the body has.", "5000000", pattern=r"^[0-9]{1,18}$"),
    "Idempotency-Key": _header(
        "Makes the request once: the same key and body give the first answer again, for seven days.",
        "order-4711",
        pattern=r"^[!-~]{1,255}$",
    ),
    "If-Match": _header("The ETag that the thing must still have, compared strongly; otherwise 412.", '"3"'),
    "If-None-Match": _header("The ETag that is known already; 304 as long as it still is the one.", '"3"'),
    "Prefer": _header("`wait=20`: how many seconds the answer may wait for the end of the work, at most 60.", "wait=1"),
    "Last-Event-ID": _header("The position after which the stream goes on.", "0", pattern=r"^[0-9]{1,18}$"),
    "If-Range": _header("The ETag with which the range is meant; with another the whole is told.", '"3"'),
    "Range": _header("The part that is wanted: one range of bytes.", "bytes=0-99", pattern=r"^bytes=[0-9]*-[0-9]*$"),
    "Tus-Resumable": _header("The version of tus that is spoken.", "1.0.0", const="1.0.0"),
    "Upload-Checksum": _header(
        "What the body sums up to: `sha256`, `sha1` or `md5`, a space, and the digest as Base64.",
        "md5 1B2M2Y8AsgTpgAmY7PhCfg==",
    ),
    "Upload-Length": _header("How many bytes the whole has.", "5000000", pattern=r"^[0-9]{1,18}$"),
    "Upload-Metadata": _header(
        "Names, each with a space and its value as Base64, with commas between them.", "filename ZmlsbS5tcDQ="
    ),
    "Upload-Offset": _header("Where the bytes of this request begin.", "0", pattern=r"^[0-9]{1,18}$"),
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
    "Accept-Ranges": _header("Parts may be asked for.", "bytes", const="bytes"),
    "Access-Control-Allow-Origin": _header("Pages of every origin may read it.", "*", const="*"),
    "Allow": _header("The methods of this address.", "GET, HEAD, OPTIONS"),
    "Cache-Control": _header("For how long it may be kept.", "no-store"),
    "Connection": _header("What is still on its way is not read.", "close", const="close"),
    "Content-Disposition": _header(
        "The name to save it under.", "attachment; filename=\"film.mp4\"; filename*=UTF-8''film.mp4"
    ),
    "Content-Range": _header("Which part this is, and of how much.", "bytes 0-99/5000000"),
    "Content-Security-Policy": _header("The page loads nothing from anywhere.", "default-src 'none'"),
    "ETag": _header("Changes with everything that changes in the thing.", '"3"', pattern=r'^"[^"]*"$'),
    "Idempotency-Replayed": _header("This is the first answer again.", "true", const="true"),
    "Link": _header("The next page.", f'</v1/tasks?limit=1&after={examples.TASK_ID}>; rel="next"'),
    "Location": _header("Where the thing is to be found.", f"/v1/tasks/{examples.TASK_ID}", pattern="^(https?:/)?/"),
    "Postcommit-Epoch": _header("The log's epoch: in another one positions are others.", str(examples.EPOCH)),
    "Preference-Applied": _header("Prefer was heeded.", "wait=20", pattern=r"^wait=[0-9]+$"),
    "Retry-After": _header("Seconds after which to ask again.", "1", pattern=r"^[0-9]+$"),
    "WWW-Authenticate": _header("How to say who calls.", "Bearer", const="Bearer"),
    "Accept-Encoding": _header("How a body may be coded: not at all.", "identity", const="identity"),
    "Tus-Max-Size": _header("How many bytes an upload may have.", "5000000", pattern=r"^[0-9]+$"),
    "Tus-Resumable": _header("The version of tus that is spoken.", "1.0.0", const="1.0.0"),
    "Tus-Version": _header("The versions of tus that are spoken here.", "1.0.0"),
    "Upload-Expires": _header("When it is dropped if no byte comes until then.", "Thu, 31 Jan 2030 12:00:00 GMT"),
    "Upload-Length": _header("How many bytes the whole has.", "5000000", pattern=r"^[0-9]+$"),
    "Upload-Metadata": _header("What is kept of it, as it was announced.", "purpose ZmlsZQ=="),
    "Upload-Offset": _header("How many bytes have arrived.", "0", pattern=r"^[0-9]+$"),
    "X-Accel-Buffering": _header("Proxies are to pass every frame on at once.", "no", const="no"),
    "X-Content-Type-Options": _header("The media type is what is said.", "nosniff", const="nosniff"),
    "X-Request-ID": _header(
        "The id under which this request is logged.", "checkout-7", pattern=r"^[A-Za-z0-9._:/+=@-]{1,128}$"
    ),
}
