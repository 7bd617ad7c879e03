"""What is told in NATS, for those who read it there: JSON Schemas, and the AsyncAPI document with its page. No key needed."""

from functools import cache
from hashlib import sha256
from importlib.metadata import version
from typing import Any

from litestar import Request, Response
from litestar.params import FromPath

from adapters.http import asyncapi
from adapters.http.asyncapi_page import POLICY, html
from adapters.http.methods import get
from adapters.http.problems import Problem
from adapters.http.published import is_current, schemas
from adapters.http.shown import ENCODER, matches, tags
from domain.cloudevents import schema_path

Asked = Request[Any, Any, Any]
KEPT = {"Cache-Control": "public, max-age=3600"}


@get("/schemas", sync_to_thread=False)
def list_schemas(request: Asked) -> Response[bytes]:
    """Every event, in every version that there ever was."""
    items = [
        {
            "name": name,
            "version": number,
            "current": is_current(name, number),
            "subject": asyncapi.address(name),
            "description": told.get("description", ""),
            "href": schema_path(name, number),
        }
        for (name, number), told in schemas().items()
    ]
    return _kept(request, ENCODER.encode({"items": items, "next": None}), "application/json")


@get("/schemas/{name:str}/{number:str}", sync_to_thread=False)
def see_schema(request: Asked, name: FromPath[str], number: FromPath[str]) -> Response[bytes]:
    """The JSON Schema of an event's message; what was published stays."""
    told = schemas().get((name, int(number))) if number.isascii() and number.isdigit() and len(number) < 10 else None
    if told is None:
        raise Problem("not-found", f"There is no schema of {name[:64]!r} in version {number[:16]!r}; see /schemas.")
    return _kept(request, ENCODER.encode(told), "application/schema+json")


@get("/asyncapi.json", sync_to_thread=False)
def asyncapi_document(request: Asked) -> Response[bytes]:
    """The AsyncAPI 3 document of the stream LOG."""
    return _kept(request, ENCODER.encode(_document()), "application/json")


@get("/asyncapi", sync_to_thread=False)
def asyncapi_page(request: Asked) -> Response[bytes]:
    """The same for people: one page without scripts, which asks no other host."""
    return _kept(request, _page(), "text/html; charset=utf-8", POLICY)


@cache
def _document() -> asyncapi.Part:
    return asyncapi.document(version("postcommit"))


@cache
def _page() -> bytes:
    return html(_document()).encode()


def _kept(request: Asked, body: bytes, media_type: str, more: dict[str, str] | None = None) -> Response[bytes]:
    """An answer that may be kept; 304 where the caller has it."""
    tag = f'"{sha256(body).hexdigest()[:32]}"'
    headers = KEPT | {"ETag": tag} | (more or {})
    if matches(tag, tags(request, "if-none-match")):
        return Response(b"", status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=media_type)
