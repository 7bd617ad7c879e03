"""What is told in NATS, for those who read it there: JSON Schemas, and the AsyncAPI document with its page. No key."""

from functools import cache
from hashlib import sha256
from importlib.metadata import version
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.params import FromPath

from adapters.http import asyncapi, asyncapi_page, html
from adapters.http.described import Reply, described
from adapters.http.methods import get
from adapters.http.problems import Problem
from adapters.http.published import is_current, schemas
from adapters.http.shown import ENCODER, matches, tags
from domain.cloudevents import schema_path

Asked = Request[Any, Any, Any]
HOUR = "public, max-age=3600"


class SchemaLine(msgspec.Struct):
    """A version of an event; only the current one is written today."""

    name: str
    version: int
    current: bool
    subject: str
    description: str
    href: str


class SchemaPage(msgspec.Struct):
    items: list[SchemaLine]
    next: None = None


@cache
def _list() -> SchemaPage:
    return SchemaPage([_line(name, number) for name, number in schemas()])


def _line(name: str, number: int) -> SchemaLine:
    words = schemas()[name, number].get("description", "")
    current, href = is_current(name, number), schema_path(name, number)
    return SchemaLine(name, number, current, asyncapi.address(name), words, href)


EXAMPLE = _line("order.recorded", 1)
KEPT = ["ETag", "Cache-Control"]
LIST = described(
    "list_schemas", "Events", {200: Reply(SchemaPage, SchemaPage([EXAMPLE]), KEPT)}, takes=["If-None-Match"]
)
SEE = described(
    "see_schema",
    "Events",
    {200: Reply(dict[str, Any], schemas()["order.recorded", 1], KEPT, media_type="application/schema+json")},
    takes=["If-None-Match"],
)
DOCUMENT = described(
    "see_asyncapi",
    "About",
    {200: Reply(dict[str, Any], {"asyncapi": asyncapi.SPEC, "info": {"title": "postcommit"}}, KEPT)},
    takes=["If-None-Match"],
)
PAGE = described(
    "see_asyncapi_page",
    "About",
    {200: Reply(str, "<!doctype html>…", ["Content-Security-Policy"], media_type="text/html")},
)


@get("/schemas", opt=LIST, sync_to_thread=False)
def list_schemas(request: Asked) -> Response[bytes]:
    """Every event, in every version that there ever was."""
    return _kept(request, ENCODER.encode(_list()), "application/json")


@get("/schemas/{name:str}/{number:str}", opt=SEE, sync_to_thread=False)
def see_schema(request: Asked, name: FromPath[str], number: FromPath[str]) -> Response[bytes]:
    """The JSON Schema of an event's message; what was published stays."""
    told = schemas().get((name, int(number))) if number.isascii() and number.isdigit() and len(number) < 10 else None
    if told is None:
        raise Problem("not-found", f"There is no schema of {name[:64]!r} in version {number[:16]!r}; see /schemas.")
    return _kept(request, ENCODER.encode(told), "application/schema+json")


@get("/asyncapi.json", opt=DOCUMENT, sync_to_thread=False)
def see_asyncapi(request: Asked) -> Response[bytes]:
    """What is told in NATS, as AsyncAPI 3."""
    return _kept(request, ENCODER.encode(_document()), "application/json")


@get("/asyncapi", opt=PAGE, sync_to_thread=False)
def see_asyncapi_page(request: Asked) -> Response[bytes]:
    """The same as a page, made of the same document."""
    return html.answer(_page())


@cache
def _document() -> asyncapi.Part:
    return asyncapi.document(version("postcommit"))


@cache
def _page() -> str:
    return asyncapi_page.render(_document())


def _kept(request: Asked, body: bytes, media_type: str) -> Response[bytes]:
    """An answer that may be kept; 304 where the caller has it."""
    tag = f'"{sha256(body).hexdigest()[:32]}"'
    headers = {"Cache-Control": HOUR, "ETag": tag}
    if matches(tag, tags(request, "if-none-match")):
        return Response(b"", status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=media_type)
