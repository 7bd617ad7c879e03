"""Reading a body: of the right type, not too large, JSON that can be stored."""

import json
from typing import Any, NoReturn

import msgspec
from litestar import Request
from litestar.exceptions import InternalServerException

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
    try:
        return await request.body()
    except InternalServerException:
        raise Problem("bad-request", "The body ended before it was complete.") from None


def _require_json(request: Request[Any, Any, Any]) -> None:
    codings = ",".join(request.headers.getall("content-encoding", [])).lower()
    if any(coding.strip() not in ("", "identity") for coding in codings.split(",")):
        headers = {"Accept-Encoding": "identity"}
        raise Problem("unsupported-media-type", f"Send it as it is; this is {codings[:64]}.", headers=headers)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
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
