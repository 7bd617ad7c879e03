"""Whatever goes wrong is told as a problem document (RFC 9457). Two tables say how: PROBLEMS and CAUSES."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import (
    ClientException,
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)
from litestar.exceptions.http_exceptions import RequestEntityTooLarge

from adapters.http.origin import request_id
from domain.file import Away
from domain.log import Conflict, Overloaded, Underway

logger = structlog.get_logger()
MEDIA_TYPE = "application/problem+json"
MISSING = re.compile(r"[Mm]issing required query parameter '?(\w+)")
MOST_ERRORS = 100  # told in one document
MOST_PLACE, MOST_DETAIL = 100, 300  # characters

PROBLEMS: dict[str, tuple[int, str]] = {  # slug -> status, title
    "bad-request": (400, "The request cannot be understood"),
    "malformed-json": (400, "The body is not JSON"),
    "bad-idempotency-key": (400, "The Idempotency-Key cannot be used"),
    "unauthorized": (401, "A key is needed"),
    "forbidden": (403, "This key may not do this"),
    "not-found": (404, "There is no such thing"),
    "too-slow": (408, "The rest of the request did not come"),
    "gone": (410, "The thing was deleted"),
    "method-not-allowed": (405, "This method is not allowed here"),
    "conflict": (409, "The state of the thing does not allow this"),
    "underway": (409, "The first request with this Idempotency-Key still runs"),
    "length-required": (411, "The length of the body must be said"),
    "stale": (412, "It has changed meanwhile"),
    "precondition-required": (428, "Say which version is meant"),
    "wrong-offset": (409, "The bytes do not begin where the last ones ended"),
    "other-tus": (412, "The request is not of this version of tus"),
    "log-changed": (409, "The log is not the one that was followed"),
    "too-large": (413, "The request is too large"),
    "over-quota": (413, "The key has announced too many bytes within a day"),
    "address-too-long": (414, "The address is too long"),
    "unsupported-media-type": (415, "The body is of another media type"),
    "no-such-range": (416, "The file has no such part"),
    "invalid": (422, "The request is not valid"),
    "key-reused": (422, "The Idempotency-Key was used for another request"),
    "head-too-large": (431, "The head of the request is too large"),
    "wrong-checksum": (460, "The bytes are not what was said of them"),
    "internal": (500, "Something went wrong here"),
    "overloaded": (503, "Too much waits to be written"),
    "unavailable": (503, "The database does not answer"),
    "not-yet": (503, "The reader is not there yet"),
    "store-away": (503, "The store of files does not answer"),
    "no-room": (507, "There is no room left to store this"),
}
HEADERS: dict[str, dict[str, str]] = {
    "unauthorized": {"WWW-Authenticate": "Bearer"},
    "overloaded": {"Retry-After": "1"},
    "unavailable": {"Retry-After": "1"},
    "underway": {"Retry-After": "1"},
    "not-yet": {"Retry-After": "1"},
    "store-away": {"Retry-After": "1"},
}
CAUSES: dict[type[Exception], str] = {
    Overloaded: "overloaded",
    Conflict: "conflict",
    Underway: "underway",
    Away: "store-away",
    RequestEntityTooLarge: "too-large",
    NotFoundException: "not-found",
    MethodNotAllowedException: "method-not-allowed",
    ClientException: "bad-request",
}
DETAILS: dict[str, str] = {
    "not-found": "There is nothing at this address.",
    "method-not-allowed": "See the Allow header for what is.",
    "too-large": "The body is larger than this address takes.",
    "length-required": "Send Content-Length; what has no length yet is sent as an upload.",
    "internal": "The error was logged under the id of this request.",
    "underway": "Nothing of this was written. Repeat it with the same key to get the first answer.",
    "overloaded": "Nothing of this was written. Try again in a moment.",
    "unavailable": "Try again in a moment.",
    "store-away": "What has arrived is kept. Try again in a moment.",
    "no-room": "What has arrived is kept. Go on with it when there is room again.",
}
UNKNOWN = "It is not known whether this was written. To repeat it with the same Idempotency-Key is safe."


class Problem(Exception):
    """Raised where a request ends badly; `errors` point at what is wrong, each with a `detail`; `more` are members."""

    def __init__(
        self,
        slug: str,
        detail: str,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.slug, self.detail, self.errors, self.headers, self.more = slug, detail, errors, headers or {}, more


def invalid(errors: Sequence[Mapping[str, str]]) -> Problem:
    """What is wrong, each with its `pointer`, `parameter` or `header`; the first of them is told in the detail, too."""
    first = errors[0]
    place = next((f"{name} {first[name]}" for name in ("parameter", "header") if name in first), None)
    place = place or (f"field {first['pointer']}" if first["pointer"] else "body")
    others = f" There are {len(errors)} errors." if len(errors) > 1 else ""
    return Problem("invalid", f"The {place[:MOST_PLACE]} is wrong: {first['detail'][:MOST_DETAIL]}.{others}", errors)


def tell(more: Mapping[type[Exception], str]) -> Callable[[Request[Any, Any, Any], Exception], Response[bytes]]:
    """The exception handler; `more` are causes that others bring."""
    causes = CAUSES | dict(more)

    def handle(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        return _answer(request, _problem(request, error, causes))

    return handle


def _problem(request: Request[Any, Any, Any], error: Exception, causes: Mapping[type[Exception], str]) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, ValidationException):
        return invalid(_parameters(request, error))
    slug = next((causes[kind] for kind in type(error).__mro__ if kind in causes), "internal")
    if slug == "internal":
        logger.error("http.failed", path=request.url.path, request_id=request_id(request.scope), exc_info=error)
    if slug == "unavailable":
        logger.warning("http.unavailable", path=request.url.path, error=str(error) or type(error).__name__)
        return Problem(slug, DETAILS[slug] if request.method in ("GET", "HEAD") else UNKNOWN)
    if slug == "store-away":
        logger.warning("http.store_away", path=request.url.path, error=str(error))
    headers = error.headers if isinstance(error, HTTPException) else None
    return Problem(slug, DETAILS.get(slug) or _detail(error), headers=headers)


def _detail(error: Exception) -> str:
    return error.detail if isinstance(error, HTTPException) else str(error)


def _parameters(request: Request[Any, Any, Any], error: ValidationException) -> Sequence[Mapping[str, str]]:
    """Litestar names wrong parameters in `extra`; what is expected of them stands in their descriptions."""
    known = request.route_handler.parsed_fn_signature.parameters
    if (missing := MISSING.search(error.detail)) is not None:
        described = getattr(known[missing[1]].kwarg_definition, "description", None) or "a value"
        return [{"parameter": missing[1], "detail": f"It is needed: {described}"}]
    assert isinstance(error.extra, list), "Nothing but parameters is left to Litestar, and it lists those."
    wrong = {one["key"]: known[one["key"]].kwarg_definition for one in error.extra}
    return [
        {"parameter": name, "detail": f"Expected {getattr(definition, 'description', None) or 'another value'}"}
        for name, definition in wrong.items()
    ]


def document(problem: Problem, request_id: str, instance: str | None = None) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer."""
    status, title = PROBLEMS[problem.slug]
    body = {"type": f"/problems/{problem.slug}", "title": title, "status": status, "detail": problem.detail}
    body |= ({"instance": instance} if instance is not None else {}) | {"request_id": request_id} | problem.more
    if problem.errors:
        body["errors"] = problem.errors[:MOST_ERRORS]
    return status, HEADERS.get(problem.slug, {}) | dict(problem.headers), msgspec.json.encode(body)


def _answer(request: Request[Any, Any, Any], problem: Problem) -> Response[bytes]:
    status, headers, body = document(problem, request_id(request.scope), request.url.path)
    return Response(body, status_code=status, headers=headers, media_type=MEDIA_TYPE)
