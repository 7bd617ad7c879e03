"""Bodies that are files by themselves: small ones are kept together, large ones as they come."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from hashlib import sha256
from uuid import UUID

from adapters.http.admission import intake
from adapters.http.desk import Call, desk
from adapters.http.origin import meta
from adapters.http.problems import Problem
from adapters.http.receiving import become, chunks_of, stored
from adapters.http.service import Intake
from domain import compose, upload
from domain.file import File
from domain.log import Fact
from domain.upload import Given, Upload

SMALL = 1024 * 1024  # bytes of a file that is held in memory until it is kept


async def take_whole(request: Call, given: Given) -> tuple[UUID, tuple[Fact, ...], File]:
    """A body that is an upload by itself: stored, and the facts that tell of it, from its beginning to what it becomes.
    It was admitted before. Raises Problem."""
    service, store, by = desk(request).service, intake(request), meta(request, desk(request).service)
    id, begun = service.new_id(), upload.begin(Upload(), given)
    file = await kept(store, id, chunks_of(request, given.size_bytes), given.size_bytes)
    found = upload.fold((event, service.now()) for event in begun)
    events = [*begun, *upload.finish(found, file)]
    facts = compose.of_thing(id, 0, events, by, service.now(), service.new_id)
    assert found.begun is not None, "It has just begun."
    return id, facts + become(id, found.begun, file, by, service), file


async def kept(store: Intake, id: UUID, chunks: AsyncIterator[bytes], size_bytes: int) -> File:
    """All of it as a file, which stays for a while, also where nothing holds it then. Of what was cut nothing stays,
    since nobody can go on with it. Raises Problem."""
    head, whole = await head_of(chunks)
    if not whole:
        return await streamed(store, id, head, chunks, size_bytes)
    _require_complete(len(head), size_bytes)
    [file] = await added(store, [head])
    return file


async def head_of(chunks: AsyncIterator[bytes]) -> tuple[bytes, bool]:
    """What comes first, and whether it is all: then it is small."""
    head = bytearray()
    async for chunk in chunks:
        head += chunk
        if len(head) > SMALL:
            return bytes(head), False
    return bytes(head), True


async def added(store: Intake, contents: Sequence[bytes]) -> list[File]:
    """Small files, kept together. Raises Problem."""
    files = await asyncio.to_thread(lambda: [_summed(content) for content in contents])
    await store.touch(files)
    await stored(store.files.add(list(zip(files, contents, strict=True))))
    return files


async def streamed(
    store: Intake, id: UUID, head: bytes, chunks: AsyncIterator[bytes], size_bytes: int | None = None
) -> File:
    """A file of any size, or of this one, kept. Raises Problem."""
    try:
        await stored(store.uploads.begin(id))
        arrived = await stored(store.uploads.write(id, 0, _joined(head, chunks), None))
        _require_complete(arrived, size_bytes)
        file = await stored(store.uploads.sum(id, arrived))
        await store.touch([file])
        await stored(store.uploads.keep(id, file))
    finally:
        await asyncio.shield(store.uploads.drop(id))
    return file


def _require_complete(arrived: int, size_bytes: int | None) -> None:
    """Raises Problem."""
    if size_bytes is not None and arrived != size_bytes:
        raise Problem("bad-request", "The body ended before it was complete.")


async def _joined(head: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for chunk in chunks:
        yield chunk


def _summed(content: bytes) -> File:
    return File(sha256=sha256(content).hexdigest(), size_bytes=len(content))
