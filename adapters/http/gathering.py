"""Several files in one request: a form with parts (RFC 7578), each of which goes straight to the store."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser, parse_options_header

from adapters.http.admission import TO_CLOSE, intake
from adapters.http.desk import Call, desk
from adapters.http.keeping import SMALL, added, head_of, streamed
from adapters.http.origin import header
from adapters.http.problems import Problem
from adapters.http.receiving import chunks_of
from domain.file import File
from domain.image import MOST_IN_BATCH

FORM = "multipart/form-data"


@dataclass(frozen=True, slots=True)
class Sent:
    """One part of the form that is a file."""

    file: File
    filename: str | None
    filetype: str | None


async def gathered(request: Call, length: int) -> list[Sent]:
    """All files of the form, each of them kept. It was admitted before. Raises Problem: then none of them counts."""
    media_type, options = parse_options_header(header(request.scope, b"content-type") or "")
    if media_type != FORM or "boundary" not in options:
        raise Problem("unsupported-media-type", f"Send {FORM} with a boundary.", headers=TO_CLOSE)
    try:
        return [one async for one in _files(request, options["boundary"], length)]
    except ParserLimitReached as error:
        heads = "header" in str(error)
        detail = "The head of a part is too long." if heads else f"A batch has at most {MOST_IN_BATCH} files."
        raise Problem("too-large", detail, headers=TO_CLOSE) from None
    except MultipartError as error:
        raise Problem("bad-request", f"The form cannot be read: {error}.", headers=TO_CLOSE) from None


async def _files(request: Call, boundary: str, length: int) -> AsyncIterator[Sent]:
    """The parts of the form that have a file's name, as they come."""
    parts = _Parts(
        PushMultipartParser(boundary, content_length=length, max_segment_count=MOST_IN_BATCH), request, length
    )
    held: list[tuple[MultipartSegment, bytes]] = []  # small ones, which are kept together
    while (part := await parts.next()) is not None:
        if part.filename is None:
            async for _ in parts.content():
                pass
            continue
        content = parts.content()
        head, whole = await head_of(content)
        if whole:
            held.append((part, head))
        if not whole or sum(len(one) for _, one in held) > SMALL:
            for sent in await _together(request, held):
                yield sent
            held.clear()
        if not whole:
            yield _sent(part, await streamed(intake(request), desk(request).service.new_id(), head, content))
    for sent in await _together(request, held):
        yield sent


async def _together(request: Call, held: Sequence[tuple[MultipartSegment, bytes]]) -> list[Sent]:
    files = await added(intake(request), [content for _, content in held])
    return [_sent(part, file) for (part, _), file in zip(held, files, strict=True)]


def _sent(part: MultipartSegment, file: File) -> Sent:
    return Sent(file, part.filename or None, part.content_type or None)


class _Parts:
    """The events of the parser, one part after the other."""

    def __init__(self, parser: PushMultipartParser, request: Call, length: int) -> None:
        self._events = self._read(parser, request, length)

    async def next(self) -> MultipartSegment | None:
        """The next part, None after the last. The content of the one before was read to its end."""
        async for event in self._events:
            if isinstance(event, MultipartSegment):
                return event
        return None

    async def content(self) -> AsyncIterator[bytes]:
        """What the part holds that was told last."""
        async for event in self._events:
            if event is None:
                return
            yield bytes(event)

    async def _read(self, parser: PushMultipartParser, request: Call, length: int) -> AsyncIterator[Any]:
        with parser:
            async for chunk in chunks_of(request, length):
                if chunk:
                    for event in parser.parse(chunk):
                        yield event
