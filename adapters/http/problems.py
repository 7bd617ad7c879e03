"""Whatever goes wrong is told as a problem document (RFC 9457). Two tables say how: PROBLEMS and CAUSES."""

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
from domain.log import Conflict, Overloaded, Underway

logger = structlog.get_logger()
MOST_ERRORS = 100  # told in one document

PROBLEMS: dict[str, tuple[int, str]] = {  # slug -> status, title
    "bad-request": (400, "The request cannot be understood"),
    "malformed-json": (400, "The body is not JSON"),
    "bad-idempotency-key": (400, "The Idempotency-Key cannot be used"),
    "unauthorized": (401, "A key is needed"),
    "forbidden": (403, "This key may not do this"),
    "not-found": (404, "There is no such thing"),
    "method-not-allowed": (405, "This method is not allowed here"),
    "conflict": (409, "The state of the task does not allow this"),
    "underway": (409, "The first request with this Idempotency-Key still runs"),
    "stale": (412, "The task has changed"),
    "too-large": (413, "The request is too large"),
    "unsupported-media-type": (415, "The body is of another media type"),
    "invalid": (422, "The request is not valid"),
    "key-reused": (422, "The Idempotency-Key was used for another request"),
    "internal": (500, "Something went wrong here"),
    "overloaded": (503, "Too much waits to be written"),
    "unavailable": (503, "The database does not answer"),
    "not-yet": (503, "The reader is not there yet"),
}
HEADERS: dict[str, dict[str, str]] = {
    "unauthorized": {"WWW-Authenticate": "Bearer"},
    "overloaded": {"Retry-After": "1"},
    "unavailable": {"Retry-After": "1"},
    "underway": {"Retry-After": "1"},
    "not-yet": {"Retry-After": "1"},
}
CAUSES: dict[type[Exception], str] = {
    Overloaded: "overloaded",
    Conflict: "conflict",
    Underway: "underway",
    RequestEntityTooLarge: "too-large",
    NotFoundException: "not-found",
    MethodNotAllowedException: "method-not-allowed",
    ValidationException: "invalid",
    ClientException: "bad-request",
}
DETAILS: dict[str, str] = {
    "not-found": "There is nothing at this address.",
    "method-not-allowed": "See the Allow header for what is.",
    "too-large": "The body is larger than this address takes.",
    "internal": "The error was logged under the id of this request.",
    "underway": "Nothing of this was written. Repeat it with the same key to get the first answer.",
    "overloaded": "Nothing of this was written. Try again in a moment.",
    "unavailable": "Try again in a moment.",
}
UNKNOWN = "It is not known whether this was written. To repeat it with the same Idempotency-Key is safe."


class Problem(Exception):
    """Raised where a request ends badly; `errors` point at what is wrong, each with a `detail`."""

    def __init__(
        self, slug: str, detail: str, errors: Sequence[Mapping[str, str]] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.slug, self.detail, self.errors, self.headers = slug, detail, errors, headers or {}


def tell(more: Mapping[type[Exception], str]) -> Callable[[Request[Any, Any, Any], Exception], Response[bytes]]:
    """The exception handler; `more` are causes that others bring."""
    causes = CAUSES | dict(more)

    def handle(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        return _document(request, _problem(request, error, causes))

    return handle


def _problem(request: Request[Any, Any, Any], error: Exception, causes: Mapping[type[Exception], str]) -> Problem:
    if isinstance(error, Problem):
        return error
    slug = next((causes[kind] for kind in type(error).__mro__ if kind in causes), "internal")
    if slug == "internal":
        logger.error("http.failed", path=request.url.path, request_id=request_id(request.scope), exc_info=error)
    if slug == "unavailable":
        logger.warning("http.unavailable", path=request.url.path, error=str(error) or type(error).__name__)
        return Problem(slug, UNKNOWN if request.method == "POST" else DETAILS[slug])
    headers = error.headers if isinstance(error, HTTPException) else None
    return Problem(slug, DETAILS.get(slug) or _detail(error), _errors(error), headers)


def _detail(error: Exception) -> str:
    return error.detail if isinstance(error, HTTPException) else str(error)


def _errors(error: Exception) -> Sequence[Mapping[str, str]]:
    """Litestar tells of wrong parameters in `extra`."""
    extra = error.extra if isinstance(error, ValidationException) else None
    told = [one for one in extra if isinstance(one, dict)] if isinstance(extra, list) else []
    return [{"parameter": str(one.get("key", "")), "detail": str(one.get("message", ""))} for one in told]


def _document(request: Request[Any, Any, Any], problem: Problem) -> Response[bytes]:
    status, title = PROBLEMS[problem.slug]
    body: dict[str, Any] = {
        "type": f"/problems/{problem.slug}",
        "title": title,
        "status": status,
        "detail": problem.detail,
        "instance": request.url.path,
        "request_id": request_id(request.scope),
    }
    if problem.errors:
        body["errors"] = problem.errors[:MOST_ERRORS]
    headers = HEADERS.get(problem.slug, {}) | dict(problem.headers)
    return Response(
        msgspec.json.encode(body), status_code=status, headers=headers, media_type="application/problem+json"
    )
