"""Videos: sent, followed while they are made, played, deleted."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
import structlog
from litestar import Response, delete, post
from litestar import get as get_only
from litestar.params import FromPath
from litestar.response import Stream

from adapters.http import examples
from adapters.http.auth import needs
from adapters.http.described import Body, Reply, described
from adapters.http.desk import Call, desk
from adapters.http.events import LIVE, PING_S, one_line, pause
from adapters.http.files import CONTENT_HEADERS, content
from adapters.http.methods import get
from adapters.http.origin import header, meta
from adapters.http.page import Limit, Text, limited, page
from adapters.http.plain import Plain
from adapters.http.playing import Names, playlist_of, thumbnails_of, variants_of
from adapters.http.problems import Problem
from adapters.http.receiving import intake, take_whole
from adapters.http.shown import ENCODER, id_of, matches, ok, tags
from adapters.http.things import read, streams, written
from adapters.http.working import of_each, tasks_of
from adapters.http.write import answered, claim, decide, write
from domain import compose, lineage, making, upload, video
from domain.access import Right
from domain.log import Answer, Recorded
from domain.making import Making, Size, State
from domain.outcome import Error
from domain.task import Task
from domain.upload import Given, Purpose
from domain.video import Found, Video

logger = structlog.get_logger()
TICK_S = 1.0
BYTES = "application/octet-stream"


class Source(msgspec.Struct, kw_only=True):
    """The file that was sent, and what was found in it."""

    sha256: str
    size_bytes: int
    filename: str | None
    filetype: str | None
    found: Found | None


class Playback(msgspec.Struct):
    """Where it is played: HLS as soon as one rendition is ready, the MP4 when the best one is."""

    hls: str | None
    mp4: str | None


class Short(msgspec.Struct, kw_only=True):
    id: UUID
    status: State
    progress: float  # from 0 to 1
    stage: making.Stage
    error: Error | None


class VideoShown(Short, kw_only=True):
    source: Source
    renditions: list[Size]
    poster: str | None
    playback: Playback
    warnings: list[str]
    tasks: list[UUID]
    created_at: datetime
    completed_at: datetime | None
    links: dict[str, str]


class VideoWritten(VideoShown, kw_only=True):
    """A video together with what was written for it."""

    events: list[UUID]


class VideoPage(msgspec.Struct):
    items: list[VideoShown]
    next: str | None


class Removal(msgspec.Struct, kw_only=True):
    """What removes it, and what was written for that."""

    id: UUID
    tasks: list[UUID]
    events: list[UUID]


HERE = f"/v1/videos/{examples.VIDEO_ID}"
SHORT = {"id": examples.VIDEO_ID, "status": "queued", "progress": 0.0, "stage": "probe", "error": None}
SHOWN = SHORT | {
    "source": {
        "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "size_bytes": 5_000_000,
        "filename": "film.mp4",
        "filetype": "video/mp4",
        "found": None,
    },
    "renditions": [],
    "poster": None,
    "playback": {"hls": None, "mp4": None},
    "warnings": [],
    "tasks": [examples.TASK_ID],
    "created_at": examples.AT,
    "completed_at": None,
    "links": {name: f"{HERE}/{name}" for name in ("status", "stream")} | {"self": HERE},
}
FOLLOW = dict.fromkeys(("see_video", "see_video_status", "delete_video"), "$response.body#/id")
CREATE = described(
    "create_video",
    "Videos",
    {202: Reply(VideoWritten, SHOWN | {"events": [examples.EVENT_ID]}, ["Location", "Retry-After"], links=FOLLOW)},
    Body(str, {"film": "the bytes of a film"}, media_type=BYTES),
    takes=["Content-Length!"],
    problems=["length-required", "no-room", "over-quota", "store-away", "too-slow"],
)
LIST = described(
    "list_videos", "Videos", {200: Reply(VideoPage, {"items": [SHOWN], "next": examples.CURSOR}, may=["Link"])}
)
SEE = described("see_video", "Videos", {200: Reply(VideoShown, SHOWN)}, problems=["gone"])
STATUS = described("see_video_status", "Videos", {200: Reply(Short, SHORT)}, problems=["gone"])
STREAM = described(
    "follow_video",
    "Videos",
    {
        200: Reply(
            (Short,),
            'retry: 2000\nevent: status\ndata: {"status":"in_progress","progress":0.4,…}\n\n: ping\n\n',
            [*LIVE],
            media_type="text/event-stream",
        )
    },
    problems=["gone"],
)
DELETE = described(
    "delete_video",
    "Videos",
    {
        202: Reply(
            Removal,
            {"id": examples.VIDEO_ID, "tasks": [examples.TASK_ID], "events": [examples.EVENT_ID]},
            ["Location", "Retry-After"],
        )
    },
    problems=["gone", "conflict"],
)
FILE = described(
    "see_video_file",
    "Videos",
    {
        200: Reply(str, "the bytes of it", may=CONTENT_HEADERS, media_type=BYTES),
        206: Reply(str, "some", [*CONTENT_HEADERS, "Content-Range"], media_type=BYTES),
    },
    takes=["Range", "If-Range", "If-None-Match"],
    problems=["gone", "no-such-range", "store-away"],
)


@post("/v1/videos", opt=needs(Right.WRITE) | CREATE, request_max_body_size=None)
async def create_video(request: Call, filename: Text = None) -> Response[bytes]:
    """Send a film in one go: its bytes are the body. Larger ones are sent as an upload, which survives every cut."""
    service, filetype = desk(request).service, (header(request.scope, b"content-type") or "").partition(";")[0]
    given = Given(size_bytes=0, purpose=Purpose.VIDEO, filename=filename, filetype=filetype or None)
    sent, facts, file = await take_whole(request, given)
    id = upload.video_of(sent)
    claimed = claim(request, {"sha256": file.sha256, "filename": filename})
    entry = compose.entry(facts, dict(service.kinds), service.now(), service.new_id)
    found = video.fold((fact.event, fact.at) for fact in facts if isinstance(fact.event, video.Event))
    told = _shown(id, found, dict(entry.tasks)) | {"events": written(entry)["events"]}
    answer = await write(service, entry, Answer(202, ENCODER.encode(told), f"/v1/videos/{id}"), claimed)
    await intake(request).uploads.drop(sent)
    return answer


@get("/v1/videos", opt=needs(Right.READ_ACCOUNTS) | LIST)
async def list_videos(request: Call, after: Text = None, limit: Limit = 50) -> Response[bytes]:
    """Videos, newest first, without those that were deleted. A client sees its own."""
    found, following = await streams(request, "video.created", after, limited(limit))
    pairs = [(_id(recorded), recorded, _folded(recorded)) for recorded in found]
    open = [recorded for _, recorded, one in pairs if one.works]
    tasks = await tasks_of(request, open)
    items = [_shown(id, one, of_each(recorded, tasks)) for id, recorded, one in pairs if one.deleted_at is None]
    return page(items, following, request)


@get("/v1/videos/{id:str}", opt=needs(Right.READ_ACCOUNTS) | SEE)
async def see_video(request: Call, id: FromPath[str]) -> Response[bytes]:
    """A video: how far it is, what can be played of it, and the tasks that work for it."""
    known = id_of(id)
    recorded = await _present(request, known)
    return ok(_shown(known, _folded(recorded), await tasks_of(request, [recorded])))


@get("/v1/videos/{id:str}/status", opt=needs(Right.READ_ACCOUNTS) | STATUS)
async def see_video_status(request: Call, id: FromPath[str]) -> Response[bytes]:
    """How far it is, in short."""
    known = id_of(id)
    return ok(await _short(request, known))


@get_only("/v1/videos/{id:str}/stream", opt=needs(Right.READ_ACCOUNTS) | STREAM)
async def follow_video(request: Call, id: FromPath[str]) -> Stream:
    """How far it is, live: server-sent events until it is complete, failed or cancelled."""
    known = id_of(id)
    await _present(request, known)
    return Stream(_frames(request, known), media_type="text/event-stream", headers=LIVE)


@delete("/v1/videos/{id:str}", opt=needs(Right.WRITE) | DELETE, status_code=200)
async def delete_video(request: Call, id: FromPath[str]) -> Response[bytes]:
    """Delete a video: what runs for it is cancelled, and its files are removed after a while."""
    known = id_of(id)
    return await decide(lambda: _delete(request, known))


@get("/v1/videos/{id:str}/files/{name:str}", opt=needs(Right.READ_ACCOUNTS) | FILE)
async def see_video_file(request: Call, id: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    """What is played: `master.m3u8`, of each rendition `720p.m3u8` and `720p.mp4`, and `video.mp4`, `poster.jpg`,
    `storyboard.jpg`, `storyboard.vtt`, each once it is ready."""
    known = id_of(id)
    found = _folded(await _present(request, known))
    names, files = Names(found), intake(request).files
    if name == names.MASTER and found.playables:
        return _text(request, variants_of(found), names.PLAYLIST_TYPE)
    if name == names.THUMBNAILS and found.stills is not None:
        return _text(request, thumbnails_of(found.stills, found), "text/vtt; charset=utf-8")
    if (playable := names.playlist(name)) is not None:
        whole = b"".join(
            [chunk async for chunk in files.read(playable.playlist.sha256, 0, playable.playlist.size_bytes)]
        )
        return _text(request, playlist_of(playable, whole.decode()), names.PLAYLIST_TYPE)
    if (named := names.file(name)) is None:
        raise Problem("not-found", f"The video {known} has no file {name[:64]!r}, or not yet.")
    file, media_type = named
    return await content(request, files, file, media_type, name, inline=True)


async def _frames(request: Call, id: UUID) -> AsyncGenerator[bytes, None]:
    """The status whenever it changes, until it has ended or the service stops. Without Postgres there are pings."""
    stopping, last, quiet_s = desk(request).service.stopping, b"", 0.0
    yield b"retry: 2000\n\n"
    while not stopping.is_set():
        try:
            told = await _short(request, id)
        except Problem:  # it was deleted
            return
        except Exception as error:  # the connection outlives it: whoever follows need not begin again
            logger.warning("stream.failed", error=str(error) or type(error).__name__)
            told = None
        frame = one_line(told) if told is not None else last
        if frame != last:
            last, quiet_s = frame, 0.0
            yield b"event: status\ndata: %b\n\n" % frame
        if told is not None and told.status not in (State.QUEUED, State.IN_PROGRESS):
            return
        await pause(stopping, TICK_S)
        quiet_s += TICK_S
        if quiet_s >= PING_S:
            quiet_s = 0.0
            yield b": ping\n\n"


async def _short(request: Call, id: UUID) -> Short:
    recorded = await _present(request, id)
    found = _folded(recorded)
    told = making.told(found, await tasks_of(request, [recorded]) if found.works else {})
    return Short(id=id, status=told.status, progress=told.progress, stage=told.stage, error=told.error)


async def _delete(request: Call, id: UUID) -> Response[bytes]:
    service, recorded = desk(request).service, await _present(request, id)
    found, claimed = _folded(recorded), claim(request, {})
    events, now = video.delete(found), service.now()
    if not events:
        return await answered(service, claimed) or ok({})
    facts = compose.of_thing(id, found.version, events, meta(request, service), now, service.new_id)
    entry = compose.entry(facts, dict(service.kinds), now, service.new_id)
    told = {"id": id} | written(entry)
    return await write(service, entry, Answer(202, ENCODER.encode(told), f"/v1/tasks/{entry.tasks[0][0]}"), claimed)


async def _present(request: Call, id: UUID) -> Sequence[Recorded]:
    """Raises Problem where it was deleted."""
    recorded = await read(request, "video", id)
    if (at := _folded(recorded).deleted_at) is not None:
        raise Problem("gone", f"The video {id} was deleted.", deleted_at=at)
    return recorded


def _id(recorded: Sequence[Recorded]) -> UUID:
    return UUID(recorded[0].fact.stream.removeprefix("video-"))


def _folded(recorded: Sequence[Recorded]) -> Video:
    return video.fold((one.fact.event, one.fact.at) for one in recorded if isinstance(one.fact.event, video.Event))


def _text(request: Call, text: str, media_type: str) -> Response[bytes]:
    body = text.encode()
    tag = f'"{sha256(body).hexdigest()}"'
    if matches(tag, tags(request, "if-none-match")):
        return Response(b"", status_code=304, headers={"ETag": tag})
    return Plain(body, 200, {"ETag": tag, "Cache-Control": "private, no-cache"}, media_type)


def _shown(id: UUID, found: Video, tasks: Mapping[UUID, Task]) -> dict[str, Any]:
    created, planned, here = found.created, found.planned, f"/v1/videos/{id}"
    assert created is not None and found.created_at is not None, "What exists was created."
    told: Making = making.told(found, tasks)
    names, files = Names(found), f"{here}/files"
    return {
        "id": id,
        "status": told.status,
        "progress": told.progress,
        "stage": told.stage,
        "error": told.error,
        "source": {
            "sha256": created.source.sha256,
            "size_bytes": created.source.size_bytes,
            "filename": created.filename,
            "filetype": created.filetype,
            "found": planned.found if planned is not None else None,
        },
        "renditions": list(told.renditions),
        "poster": f"{files}/{names.POSTER}" if found.stills is not None else None,
        "playback": {
            "hls": f"{files}/{names.MASTER}" if found.playables else None,
            "mp4": f"{files}/{names.MP4}" if names.file(names.MP4) is not None else None,
        },
        "warnings": list(planned.warnings) if planned is not None else [],
        "tasks": list(lineage.latest(tasks)),
        "created_at": found.created_at,
        "completed_at": found.completed_at,
        "links": {"self": here} | {name: f"{here}/{name}" for name in ("status", "stream")},
    }
