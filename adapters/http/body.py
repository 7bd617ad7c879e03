"""Reading a body: of the right type, not too large, JSON that can be stored."""

import json
from typing import Any, NoReturn

import msgspec
from litestar import Request
from litestar.exceptions.http_exceptions import RequestEntityTooLarge

from adapters.http.origin import header, headers
from adapters.http.problems import Problem
from adapters.http.shape import flaw
from domain.record import MOST_DEPTH, MOST_JSON, depth

KIB = 1024
MOST_BODY = 1024 * KIB
MOST_BATCH_BODY = 16 * 1024 * KIB
MOST_REQUEST = MOST_JSON  # of one task
DECODER = msgspec.json.Decoder()


async def json_of(request: Request[Any, Any, Any]) -> Any:
    """The decoded body. The route's limit on its size is kept while it is read. Raises Problem."""
    _require_json(request)
    return decode(await _read(request))


async def json_or_nothing(request: Request[Any, Any, Any]) -> Any:
    """Like `json_of`; an empty body is an empty object."""
    body = await _read(request)
    if not body:
        return {}
    _require_json(request)
    return decode(body)


def decode(body: bytes) -> Any:
    try:
        value = DECODER.decode(body)
    except RecursionError:
        raise _too_deep() from None
    except (msgspec.DecodeError, ValueError) as error:
        _refuse(body, error)
    if body.count(b"[") + body.count(b"{") > MOST_DEPTH and depth(value) > MOST_DEPTH:
        raise _too_deep()
    return value


async def _read(request: Request[Any, Any, Any]) -> bytes:
    """All of it, in fewer steps than Litestar takes. What is announced as too large is not read at all."""
    most = request.route_handler.resolve_request_max_body_size() or MOST_BODY
    announced = header(request.scope, b"content-length") or ""
    if announced.isdecimal() and int(announced) > most:
        raise RequestEntityTooLarge
    chunks, left = [], most
    while True:
        message: Any = await request.receive()
        if message["type"] == "http.disconnect":
            raise Problem("bad-request", "The body ended before it was complete.")
        chunks.append(message["body"])
        left -= len(message["body"])
        if left < 0:
            raise RequestEntityTooLarge
        if not message["more_body"]:
            return b"".join(chunks)


def _require_json(request: Request[Any, Any, Any]) -> None:
    codings = ",".join(headers(request.scope, b"content-encoding")).lower()
    if any(coding.strip() not in ("", "identity") for coding in codings.split(",")):
        wanted = {"Accept-Encoding": "identity"}
        raise Problem("unsupported-media-type", f"Send it as it is; this is {codings[:64]}.", headers=wanted)
    kind = (header(request.scope, b"content-type") or "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem("unsupported-media-type", f"Send application/json; this is {kind or 'without a Content-Type'}.")


def _refuse(body: bytes, error: Exception) -> NoReturn:
    """Tells what is no UTF-8 JSON from what is, but cannot be stored: half a surrogate pair, a number without end."""
    try:
        json.loads(body.decode(), parse_constant=lambda name: int(name), parse_int=len)
    except (ValueError, RecursionError):
        raise Problem("malformed-json", f"The body is not UTF-8 JSON: {error}.") from None
    detail = "It holds half of a surrogate pair, or a number that is too large."
    raise Problem("invalid", "The body is JSON that cannot be stored.", [flaw("", detail)])


def _too_deep() -> Problem:
    detail = f"It is nested more than {MOST_DEPTH} levels deep."
    return Problem("invalid", "The body is nested too deeply.", [flaw("", detail)])
