"""Bytes of an upload on their way from a request into the store, and what follows when the last of them is there."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from datetime import timedelta
from typing import Any, TypeVar, assert_never
from uuid import UUID

from litestar import Response

from adapters.http.admission import TO_CLOSE, intake, place
from adapters.http.desk import Call, desk
from adapters.http.origin import header, meta
from adapters.http.plain import Plain
from adapters.http.problems import DETAILS, Problem
from adapters.http.service import Service
from adapters.http.things import read
from adapters.http.write import decide, write
from domain import compose, image, upload, video
from domain.file import Checksum, File, Full, Mismatch, NoUpload, Part, TooMuch, WrongOffset
from domain.log import Answer, Fact, Meta, Recorded
from domain.upload import Begun, Purpose, Status, Upload

IDLE_S = 60.0  # for which a sender may be silent
DAY = timedelta(days=1)
SMALL = 1024 * 1024  # bytes of a file that is held in memory until it is kept
DONE = Answer(204, b"")
T = TypeVar("T")


async def receive(
    request: Call, id: UUID, found: Upload, offset: int, checksum: Checksum | None, read: bool = True
) -> Part:
    """Store what the request carries. With the last byte the upload is finished."""
    service, store = desk(request).service, intake(request)
    assert found.begun is not None, "Nothing is sent to what has not begun."
    left = found.begun.size_bytes - offset
    announced = header(request.scope, b"content-length") or ""
    if left < 0 or (read and announced.isdecimal() and int(announced) > left):
        detail = f"Behind {offset} there are {max(left, 0)} bytes to come, and this has more."
        raise Problem("too-large", detail, headers=TO_CLOSE)
    chunks = chunks_of(request, left) if read else _nothing()
    async with place(request):
        size_bytes = await stored(store.uploads.write(id, offset, chunks, checksum))
    if size_bytes == found.begun.size_bytes:
        await finish(request, id)
    return Part(size_bytes, service.now())


async def stored(storing: Awaitable[T]) -> T:
    """What the store says. Raises Problem."""
    try:
        return await storing
    except WrongOffset as error:
        raise wrong_offset(error.size_bytes) from error
    except Mismatch as error:
        detail = "The bytes of this request do not sum up to Upload-Checksum; they were dropped."
        raise Problem("wrong-checksum", detail) from error
    except TooMuch as error:
        raise Problem("too-large", str(error), headers=TO_CLOSE) from error
    except Full as error:
        raise Problem("no-room", DETAILS["no-room"], headers=TO_CLOSE) from error
    except NoUpload as error:
        raise Problem("gone", "Nothing of this upload is kept any more.", headers=TO_CLOSE) from error


async def finish(request: Call, id: UUID) -> None:
    """Make a file of what has arrived, and tell of it; whoever finds that done before does nothing."""
    store = intake(request)

    async def attempt() -> Response[bytes]:
        service, found = desk(request).service, folded(await read(request, "upload", id))
        if found.begun is None or found.status is not Status.OPEN:
            return Plain(b"", 204, {}, "")
        file = await stored(store.uploads.sum(id, found.begun.size_bytes))
        events = upload.finish(found, file)
        if not any(isinstance(event, upload.Rejected) for event in events):
            await store.touch([file])
            await stored(store.uploads.keep(id, file))
        now, by = service.now(), meta(request, service)
        facts = compose.of_thing(id, found.version, events, by, now, service.new_id)
        if any(isinstance(event, upload.Finished) for event in events):
            facts += become(id, found.begun, file, by, service)
        entry = compose.entry(facts, dict(service.kinds), now, service.new_id)
        return await write(service, entry, DONE, None)

    failed: Problem | None = None
    try:
        await decide(attempt)
    except Problem as problem:  # whoever was faster may have dropped what he had kept: then all is well
        failed = problem
    found = folded(await read(request, "upload", id))
    if failed is not None and found.status is Status.OPEN:
        raise failed
    await store.uploads.drop(id)
    require_alive(id, found)


def become(id: UUID, begun: Begun, file: File, by: Meta, service: Service) -> tuple[Fact, ...]:
    """The first fact of what the upload was sent for."""
    match Purpose(begun.purpose):
        case Purpose.FILE:
            return ()
        case Purpose.VIDEO:
            given = video.Given(source=file, upload=id, filename=begun.filename, filetype=begun.filetype)
            events = video.create(video.Video(), given)
            return compose.of_thing(upload.video_of(id), 0, events, by, service.now(), service.new_id)
        case Purpose.IMAGE:
            created = image.Created(source=file, upload=id, filename=begun.filename, filetype=begun.filetype)
            sent = image.create(image.Image(), created)
            return compose.of_thing(upload.image_of(id), 0, sent, by, service.now(), service.new_id)
        case other:
            assert_never(other)


async def chunks_of(request: Call, left: int) -> AsyncIterator[bytes]:
    """The body as it comes, at most so many bytes. Raises Problem."""
    stopping = desk(request).service.stopping
    while True:
        try:
            async with asyncio.timeout(IDLE_S):
                message: Any = await request.receive()
        except TimeoutError:
            raise Problem("too-slow", f"No bytes came for {IDLE_S:.0f} s.", headers=TO_CLOSE) from None
        if message["type"] == "http.disconnect":
            raise Problem("bad-request", "The body ended before it was complete.")
        left -= len(message["body"])
        if left < 0:
            raise Problem("too-large", "There are more bytes than were announced.", headers=TO_CLOSE)
        yield message["body"]
        if not message["more_body"]:
            return
        if stopping.is_set():
            raise Problem("unavailable", "This server stops; what has arrived is kept.", headers=TO_CLOSE)


async def _nothing() -> AsyncIterator[bytes]:
    for chunk in list[bytes]():
        yield chunk


def folded(recorded: Sequence[Recorded]) -> Upload:
    """The upload that these facts tell of."""
    return upload.fold((one.fact.event, one.fact.at) for one in recorded if isinstance(one.fact.event, upload.Event))


def wrong_offset(size_bytes: int) -> Problem:
    detail = f"{size_bytes} bytes have arrived: go on from there."
    return Problem("wrong-offset", detail, headers=TO_CLOSE | {"Upload-Offset": str(size_bytes)})


def require_alive(id: UUID, found: Upload) -> None:
    """Raises Problem where it has ended without a file."""
    match found.status:
        case Status.REJECTED:
            raise rejected(found)
        case Status.EXPIRED:
            raise Problem("gone", f"The upload {id} expired: no bytes came for too long.", deleted_at=found.ended_at)
        case Status.TERMINATED:
            raise Problem("gone", f"The upload {id} was given up.", deleted_at=found.ended_at)
        case Status.OPEN | Status.FINISHED:
            return


def rejected(found: Upload) -> Problem:
    assert found.begun is not None and found.file is not None, "What is rejected has arrived."
    detail = f"All has arrived; its SHA-256 is {found.file.sha256}, and {found.begun.sha256} was announced."
    return Problem("wrong-checksum", detail)
