"""What the API tells of itself: as a document for programs, as a page for people."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from litestar import Request, Response

from adapters.http import html
from adapters.http.described import Kinds, Reply, described
from adapters.http.manual import render
from adapters.http.methods import get
from adapters.http.openapi import Routes, document
from adapters.http.shown import ENCODER, matches, ok, tags

MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Manual:
    """The description, as it is sent."""

    json: bytes
    etag: str
    page: str


def manual(routes: Routes, kinds: Kinds) -> Manual:
    told = document(routes, kinds)
    encoded = ENCODER.encode(told)
    return Manual(encoded, f'"{sha256(encoded).hexdigest()[:16]}"', render(told))


SKETCH = {"openapi": "3.1.1", "info": {"title": "postcommit", "version": "0.1.0"}, "paths": {}}
OPENAPI = described("see_openapi", "About", {200: Reply(dict[str, Any], SKETCH, ["ETag"])}, takes=["If-None-Match"])
DOCS = described(
    "see_docs",
    "About",
    {200: Reply(str, "<!doctype html>…", ["Content-Security-Policy"], media_type="text/html")},
)


@get("/openapi.json", opt=OPENAPI)
async def see_openapi(request: Request[Any, Any, Any]) -> Response[bytes]:
    """This API as OpenAPI 3.1."""
    known: Manual = request.app.state[MANUAL]
    if matches(known.etag, tags(request, "if-none-match")):
        return Response(b"", status_code=304, headers={"ETag": known.etag})
    return ok(known.json, {"ETag": known.etag})


@get("/docs", opt=DOCS)
async def see_docs(request: Request[Any, Any, Any]) -> Response[bytes]:
    """This API as a page, made of the same document."""
    known: Manual = request.app.state[MANUAL]
    return html.answer(known.page)
