"""The content of a file: whole, a part of it (RFC 9110 14), or only that it is still the same."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import quote

from litestar import Response
from litestar.types import ASGIApp, Receive

from adapters.http.described import BYTES, Reply, described
from adapters.http.desk import Call
from adapters.http.origin import header
from adapters.http.problems import Problem
from adapters.http.shown import matches, tags
from domain.file import File, Files

RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))")
CONTENT_HEADERS = ["ETag", "Accept-Ranges", "Content-Disposition", "Content-Security-Policy", "Cache-Control"]


def served(
    operation: str,
    group: str,
    problems: Sequence[str],
    media_type: str = BYTES,
    may: Sequence[str] = (),
    texts: bool = False,
) -> dict[str, Any]:
    """The `opt` of a route that answers with `content`, or with `texts` besides, which have fewer headers."""
    always, may = ([], [*CONTENT_HEADERS, *may]) if texts else (CONTENT_HEADERS, may)
    replies = {
        200: Reply(str, "the bytes of it", always, may, media_type=media_type),
        206: Reply(str, "some", [*always, "Content-Range"], may, media_type=media_type),
    }
    taken, problems = ["Range", "If-Range", "If-None-Match"], [*problems, "gone", "no-such-range", "store-away"]
    return described(operation, group, replies, takes=taken, problems=problems)


class Streamed(Response[bytes]):
    """An answer whose bytes come out of the store while it is sent."""

    def __init__(self, chunks: AsyncIterator[bytes], status: int, headers: dict[str, str]) -> None:
        self.chunks, self.status_code, self.headers = chunks, status, headers

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIApp:  # type: ignore[override]
        return self._send

    async def _send(self, scope: Any, receive: Receive, send: Callable[[Any], Awaitable[None]]) -> None:
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        if scope["method"] != "HEAD":
            leaving = asyncio.create_task(_left(receive))
            try:
                async for chunk in self.chunks:
                    if leaving.done():  # the server takes what is sent to nobody, without end
                        return
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            finally:
                leaving.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _left(receive: Receive) -> None:
    """Until the client goes away."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def content(
    request: Call, files: Files, file: File, media_type: str | None, filename: str | None, *, inline: bool = False
) -> Response[bytes]:
    """The file for whoever may see it. A browser saves it, and never shows it as a page of this origin; only what we
    made ourselves is shown `inline`.

    Raises Problem where it has no such part."""
    tag = f'"{file.sha256}"'
    told = {"ETag": tag, "Accept-Ranges": "bytes", "Cache-Control": "private, no-cache"}
    if matches(tag, tags(request, "if-none-match")):
        return Response(b"", status_code=304, headers=told)
    if await files.size(file.sha256) != file.size_bytes:
        raise RuntimeError(f"The store has no file {file.sha256} of {file.size_bytes} bytes, which the log tells of.")
    told |= {"Content-Type": media_type or BYTES, "Content-Security-Policy": "default-src 'none'; sandbox"}
    told |= {"Content-Disposition": _saved_as(filename or file.sha256, "inline" if inline else "attachment")}
    begin, end = _wanted(request, tag, file.size_bytes)
    part = (begin, end) != (0, file.size_bytes)
    told |= {"Content-Length": str(end - begin)}
    told |= {"Content-Range": f"bytes {begin}-{end - 1}/{file.size_bytes}"} if part else {}
    return Streamed(files.read(file.sha256, begin, end), 206 if part else 200, told)


def _saved_as(name: str, how: str) -> str:
    """With the name twice (RFC 6266 4.3): as far as it is ASCII, and whole."""
    plain = re.sub(r'[^ -~]|["\\%/]', "_", name)
    return f"{how}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _wanted(request: Call, tag: str, size_bytes: int) -> tuple[int, int]:
    """The bytes from the first until before the second. Several ranges, and what is none, mean the whole."""
    wanted = RANGE.fullmatch((header(request.scope, b"range") or "").strip())
    if wanted is None or header(request.scope, b"if-range") not in (None, tag):
        return 0, size_bytes
    first, last, suffix = wanted.groups()
    if suffix is not None:
        begin, end = max(size_bytes - int(suffix), 0), size_bytes
    else:
        begin, end = int(first), min(int(last) + 1 if last else size_bytes, size_bytes)
    if last and int(last) < int(first or 0):
        return 0, size_bytes  # it is no range
    if begin >= end:
        raise Problem(
            "no-such-range",
            f"The file has {size_bytes} bytes.",
            headers={"Content-Range": f"bytes */{size_bytes}"},
        )
    return begin, end
