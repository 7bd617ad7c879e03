"""Uploads that survive every cut (tus 1.0.0): announced, sent piece by piece, and asked how far they are.

The store knows how much has arrived, the log what became of it. What has arrived whole becomes a file in one append
with all that follows; a crash between the two is mended by the next question: whoever asks how far an upload is whose
last byte has arrived finds it finished."""

import asyncio
from datetime import datetime
from email.utils import format_datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Response, delete, patch, post, route
from litestar.params import FromPath

from adapters.http import examples, tus
from adapters.http.admission import TO_CLOSE, intake, place, require_fitting, require_quota
from adapters.http.auth import needs
from adapters.http.described import BYTES, Body, Reply, described
from adapters.http.desk import Call, desk
from adapters.http.files import content, served
from adapters.http.methods import get
from adapters.http.origin import meta
from adapters.http.page import Limit, Text, limited, page
from adapters.http.plain import Plain
from adapters.http.problems import Problem
from adapters.http.receiving import DONE, finish, folded, receive, require_alive, stored, wrong_offset
from adapters.http.service import Intake
from adapters.http.shown import ENCODER, id_of, ok
from adapters.http.things import read, streams, written
from adapters.http.write import Claim, claim, decide, write
from domain import compose, upload
from domain.access import Right
from domain.file import Part
from domain.log import Answer, Entry
from domain.upload import Given, Purpose, Status, Upload


class UploadShown(msgspec.Struct, kw_only=True):
    """`received_bytes` are stored for good. `sha256` was announced, or is what was found when all had arrived."""

    id: UUID
    status: Status
    purpose: Purpose
    filename: str | None
    filetype: str | None
    size_bytes: int
    received_bytes: int
    sha256: str | None
    created_at: datetime
    expires_at: datetime | None
    ended_at: datetime | None
    links: dict[str, str]


class UploadWritten(UploadShown, kw_only=True):
    """An upload together with what was written for it."""

    tasks: list[UUID]
    events: list[UUID]


class UploadPage(msgspec.Struct):
    items: list[UploadShown]
    next: str | None


HERE = f"/v1/uploads/{examples.UPLOAD_ID}"
SHOWN = {
    "id": examples.UPLOAD_ID,
    "status": "open",
    "purpose": "file",
    "filename": "film.mp4",
    "filetype": "video/mp4",
    "size_bytes": 5_000_000,
    "received_bytes": 0,
    "sha256": None,
    "created_at": examples.AT,
    "expires_at": examples.AT,
    "ended_at": None,
    "links": {"self": HERE},
}
WRITTEN = SHOWN | {"tasks": [], "events": [examples.EVENT_ID]}
SPOKEN = ["Tus-Resumable"]
AWAY = ["other-tus", "gone", "store-away"]
REFUSED = [*AWAY, "wrong-checksum", "wrong-offset", "no-room", "too-slow"]
FOLLOW = dict.fromkeys(("see_upload", "ask_upload", "send_upload", "end_upload"), "$response.body#/id")
BEGIN = described(
    "begin_upload",
    "Uploads",
    {201: Reply(UploadWritten, WRITTEN, ["Location", *SPOKEN], ["Upload-Offset", "Upload-Expires"], FOLLOW)},
    Body(str, {"nothing": ""}, optional=True, media_type=tus.BYTES),
    takes=["Tus-Resumable!", "Upload-Length!", "Upload-Metadata", "Upload-Checksum"],
    problems=["over-quota", *REFUSED],
)
LIST = described(
    "list_uploads",
    "Uploads",
    {200: Reply(UploadPage, {"items": [SHOWN], "next": examples.CURSOR}, may=["Link"])},
    problems=["store-away"],
)
SEE = described("see_upload", "Uploads", {200: Reply(UploadShown, SHOWN)}, problems=["store-away"])
ASK = described(
    "ask_upload",
    "Uploads",
    {
        200: Reply(
            None,
            None,
            [*SPOKEN, "Upload-Offset", "Upload-Length", "Upload-Metadata", "Cache-Control"],
            ["Upload-Expires"],
        )
    },
    takes=["Tus-Resumable!"],
    problems=[*AWAY, "wrong-checksum"],
)
SEND = described(
    "send_upload",
    "Uploads",
    {204: Reply(None, None, [*SPOKEN, "Upload-Offset"], ["Upload-Expires"])},
    Body(str, {"bytes": "the bytes from there on"}, media_type=tus.BYTES),
    takes=["Tus-Resumable!", "Upload-Offset!", "Upload-Checksum"],
    problems=["over-quota", *REFUSED],
)
END = described(
    "end_upload",
    "Uploads",
    {204: Reply(None, None, SPOKEN)},
    takes=["Tus-Resumable!"],
    problems=[*AWAY, "conflict"],
)
CONTENT = served("see_upload_content", "Uploads", ["conflict", "wrong-checksum"])


@post("/v1/uploads", opt=needs(Right.WRITE) | BEGIN | tus.ASKED, request_max_body_size=None)
async def begin_upload(request: Call) -> Response[bytes]:
    """Announce an upload: its length, and what is known of it. The first bytes may come along.

    `Upload-Metadata` holds `filename`, `filetype`, `purpose` and `sha256` of the whole, each as it is known: a name, a
    space, and the value as Base64, with commas between them."""
    async with tus.spoken(request):
        return await _begin(request)


@get("/v1/uploads", opt=needs(Right.READ_ACCOUNTS) | LIST)
async def list_uploads(request: Call, after: Text = None, limit: Limit = 50) -> Response[bytes]:
    """Uploads, newest first, also those that have ended. A client sees its own."""
    found, following = await streams(request, "upload.begun", after, limited(limit))
    ids = [UUID(recorded[0].fact.stream.removeprefix("upload-")) for recorded in found]
    store, pairs = intake(request), list(zip(ids, map(folded, found), strict=True))
    open = [id for id, one in pairs if one.status is Status.OPEN]
    parts = dict(zip(open, await asyncio.gather(*map(store.uploads.arrived, open)), strict=True))
    return page([_shown(store, id, one, parts.get(id)) for id, one in pairs], following, request)


@get("/v1/uploads/{id:str}", opt=needs(Right.READ_ACCOUNTS) | SEE, http_method=["GET"])
async def see_upload(request: Call, id: FromPath[str]) -> Response[bytes]:
    """An upload: how far it is, and what became of it."""
    known, store = id_of(id), intake(request)
    found = folded(await read(request, "upload", known))
    return ok(_shown(store, known, found, await store.uploads.arrived(known)))


@route("/v1/uploads/{id:str}", http_method="HEAD", opt=needs(Right.READ_ACCOUNTS) | ASK | tus.ASKED)
async def ask_upload(request: Call, id: FromPath[str]) -> Response[bytes]:
    """Where to go on: `Upload-Offset` bytes have arrived."""
    async with tus.spoken(request):
        known = id_of(id)
        found = await _present(request, known)
        part = await _part(request, known, found)
        assert found.begun is not None, "What is present has begun."
        if found.status is Status.OPEN and part.size_bytes == found.begun.size_bytes:
            await finish(request, known)  # its last byte came, and then something failed
        more = {"Upload-Length": str(found.begun.size_bytes), "Cache-Control": "no-store"}
        more |= tus.metadata_of(found.begun)
        return _told(request, found, part, 200, more)


@patch("/v1/uploads/{id:str}", opt=needs(Right.WRITE) | SEND | tus.ASKED, request_max_body_size=None)
async def send_upload(request: Call, id: FromPath[str]) -> Response[bytes]:
    """Send bytes, from `Upload-Offset` on. What has arrived before a cut is kept, unless it has a checksum: then all or
    nothing of the request. With the last byte all that follows begins."""
    async with tus.spoken(request):
        known = id_of(id)
        if not tus.carries_bytes(request):
            raise Problem("unsupported-media-type", f"Send {tus.BYTES}.", headers=TO_CLOSE)
        offset, checksum = tus.number(request, "Upload-Offset"), tus.checksum(request)
        found = await _present(request, known)
        part = await _part(request, known, found)
        if found.status is Status.OPEN:
            if offset > part.size_bytes:
                raise wrong_offset(part.size_bytes)
            assert found.begun is not None, "What is open has begun."
            if offset == 0:
                await require_quota(request, found.begun.size_bytes, known)
            part = await receive(request, known, found, offset, checksum)
        elif offset != part.size_bytes:
            raise wrong_offset(part.size_bytes)
        return _told(request, found, part, 204)


@delete("/v1/uploads/{id:str}", opt=needs(Right.WRITE) | END | tus.ASKED, status_code=200)
async def end_upload(request: Call, id: FromPath[str]) -> Response[bytes]:
    """Give it up: what has arrived is dropped. A file that it has become is not kept for its sake any more."""
    async with tus.spoken(request):
        known = id_of(id)
        return await decide(lambda: _end(request, known))


@get("/v1/uploads/{id:str}/content", opt=needs(Right.READ_ACCOUNTS) | CONTENT)
async def see_upload_content(request: Call, id: FromPath[str]) -> Response[bytes]:
    """The file itself, whole or in part, once all of it has arrived."""
    known = id_of(id)
    found = await _present(request, known)
    if found.file is None or found.begun is None:
        raise Problem("conflict", f"The upload {known} has not arrived yet.")
    files = intake(request).files
    if found.begun.purpose != Purpose.FILE and await files.size(found.file.sha256) is None:
        raise Problem("gone", f"What the upload {known} became was deleted, and its file with it.")
    return await content(request, files, found.file, found.begun.filetype, found.begun.filename)


async def _begin(request: Call) -> Response[bytes]:
    service, store, given = desk(request).service, intake(request), tus.given_of(request)
    carried = tus.carries_bytes(request)
    checksum = tus.checksum(request) if carried else None
    require_fitting(request, given.size_bytes)
    async with place(request, given.size_bytes) as coming:  # it counts until it is announced
        await require_quota(request, given.size_bytes, coming=coming)
        id, now = service.new_id(), service.now()
        events = upload.begin(Upload(), given)
        entry = Entry(compose.of_thing(id, 0, events, meta(request, service), now, service.new_id))
        found = upload.fold((event, now) for event in events)
        await stored(store.uploads.begin(id))
        body = _shown(store, id, found, Part(0, now)) | written(entry)
        where = f"{store.public or str(request.base_url).rstrip('/')}/v1/uploads/{id}"
        first = await write(service, entry, Answer(201, ENCODER.encode(body), where), _claim(request, given))
    if isinstance(first, Plain) and "Idempotency-Replayed" in first.headers:
        await store.uploads.drop(id)
        return _spoken(first, {})
    part = Part(0, now)
    if carried or given.size_bytes == 0:
        try:
            await require_quota(request, given.size_bytes, id)
            part = await receive(request, id, found, 0, checksum, read=carried)
        except Problem as problem:  # the upload is there, and its sender may go on with it
            problem.headers = {**problem.headers, "Location": where}
            raise
    return _spoken(first, _progress(store, found, part))


def _claim(request: Call, given: Given) -> Claim | None:
    return claim(request, msgspec.to_builtins(given))


async def _end(request: Call, id: UUID) -> Response[bytes]:
    service, found = desk(request).service, await _present(request, id)
    events = upload.terminate(found)
    facts = compose.of_thing(id, found.version, events, meta(request, service), service.now(), service.new_id)
    await write(service, Entry(facts), DONE, None)
    await intake(request).uploads.drop(id)
    return Plain(b"", 204, tus.RESUMABLE, "")


async def _present(request: Call, id: UUID) -> Upload:
    """Raises Problem where it has ended without a file."""
    found = folded(await read(request, "upload", id))
    require_alive(id, found)
    return found


async def _part(request: Call, id: UUID, found: Upload) -> Part:
    """How far it is. Raises Problem."""
    if found.file is not None and found.ended_at is not None:
        return Part(found.file.size_bytes, found.ended_at)
    part = await intake(request).uploads.arrived(id)
    if part is None and (now := await _present(request, id)).file is not None:  # it became one in this moment
        return await _part(request, id, now)
    if part is None:  # the store lost it
        raise Problem("gone", f"Nothing of the upload {id} is kept any more.", headers=TO_CLOSE)
    return part


def _told(request: Call, found: Upload, part: Part, status: int, more: dict[str, str] | None = None) -> Response[bytes]:
    headers = tus.RESUMABLE | _progress(intake(request), found, part) | (more or {})
    return Plain(b"", status, headers, BYTES)


def _spoken(answer: Response[bytes], headers: dict[str, str]) -> Response[bytes]:
    answer.headers.update(tus.RESUMABLE | headers)
    return answer


def _progress(store: Intake, found: Upload, part: Part) -> dict[str, str]:
    ends = _expires(store, found, part)
    return {"Upload-Offset": str(part.size_bytes)} | (
        {"Upload-Expires": format_datetime(ends, usegmt=True)} if ends else {}
    )


def _expires(store: Intake, found: Upload, part: Part | None) -> datetime | None:
    if found.status is not Status.OPEN or part is None or (found.begun and part.size_bytes == found.begun.size_bytes):
        return None
    return part.touched_at + store.patience


def _shown(store: Intake, id: UUID, found: Upload, part: Part | None) -> dict[str, Any]:
    assert found.begun is not None, "What exists has begun."
    begun, file, here = found.begun, found.file, f"/v1/uploads/{id}"
    arrived = found.status is Status.FINISHED
    received = file.size_bytes if arrived and file else part.size_bytes if part and found.status is Status.OPEN else 0
    return {
        "id": id,
        "status": found.status,
        "purpose": begun.purpose,
        "filename": begun.filename,
        "filetype": begun.filetype,
        "size_bytes": begun.size_bytes,
        "received_bytes": received,
        "sha256": file.sha256 if file else begun.sha256,
        "created_at": found.begun_at,
        "expires_at": _expires(store, found, part),
        "ended_at": found.ended_at,
        "links": {"self": here} | (_led_to(id, begun.purpose) if arrived else {}),
    }


def _led_to(id: UUID, purpose: str) -> dict[str, str]:
    """Where what it has become is to be found."""
    content = {"content": f"/v1/uploads/{id}/content"}
    match Purpose(purpose):
        case Purpose.FILE:
            return content
        case Purpose.VIDEO:
            return content | {"video": f"/v1/videos/{upload.video_of(id)}"}
        case Purpose.IMAGE:
            return content | {"image": f"/v1/images/{upload.image_of(id)}"}
