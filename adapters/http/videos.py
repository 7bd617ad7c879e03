"""Videos: sent, followed while they are made, played, deleted."""

from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import structlog
from litestar import Response, delete, post
from litestar import get as get_only
from litestar.params import FromPath
from litestar.response import Stream

from adapters.http import examples, ticket
from adapters.http.admission import admitted
from adapters.http.auth import needs
from adapters.http.described import BYTES, Body, Reply, described
from adapters.http.desk import Call, desk
from adapters.http.events import LIVE, PING_S, one_line, pause
from adapters.http.keeping import take_whole
from adapters.http.made import Made, removal
from adapters.http.methods import get
from adapters.http.origin import header
from adapters.http.page import Limit, Text, limited, page
from adapters.http.playing import Names
from adapters.http.problems import Problem
from adapters.http.shown import ENCODER, id_of, ok
from adapters.http.things import streams, written
from adapters.http.working import of_each, tasks_of
from adapters.http.write import claim, write
from domain import compose, lineage, making, upload, video
from domain.access import Right
from domain.log import Answer
from domain.making import Making, Size, State
from domain.outcome import Error
from domain.task import Task
from domain.upload import Given, Purpose
from domain.video import Found, Video

VIDEOS = Made("video", video.Event, video.fold, video.delete)
logger = structlog.get_logger()
TICK_S = 1.0


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
DELETE = removal("delete_video", "Videos", examples.VIDEO_ID)


@post("/v1/videos", opt=needs(Right.WRITE) | CREATE, request_max_body_size=None)
async def create_video(request: Call, filename: Text = None) -> Response[bytes]:
    """Send a film in one go: its bytes are the body. Larger ones are sent as an upload, which survives every cut."""
    service, filetype = desk(request).service, (header(request.scope, b"content-type") or "").partition(";")[0]
    async with admitted(request) as length:
        given = Given(size_bytes=length, purpose=Purpose.VIDEO, filename=filename, filetype=filetype or None)
        sent, facts, file = await take_whole(request, given)
        id = upload.video_of(sent)
        claimed = claim(request, {"sha256": file.sha256, "filename": filename})
        entry = compose.entry(facts, dict(service.kinds), service.now(), service.new_id)
        found = video.fold((fact.event, fact.at) for fact in facts if isinstance(fact.event, video.Event))
        told = _shown(request, id, found, dict(entry.tasks)) | {"events": written(entry)["events"]}
        return await write(service, entry, Answer(202, ENCODER.encode(told), f"/v1/videos/{id}"), claimed)


@get("/v1/videos", opt=needs(Right.READ_ACCOUNTS) | LIST)
async def list_videos(request: Call, after: Text = None, limit: Limit = 50) -> Response[bytes]:
    """Videos, newest first, without those that were deleted. A client sees its own."""
    found, following = await streams(request, "video.created", after, limited(limit))
    pairs = [(VIDEOS.id(recorded), recorded, VIDEOS.folded(recorded)) for recorded in found]
    open = [recorded for _, recorded, one in pairs if one.works]
    tasks = await tasks_of(request, open)
    items = [
        _shown(request, id, one, of_each(recorded, tasks)) for id, recorded, one in pairs if one.deleted_at is None
    ]
    return page(items, following, request)


@get("/v1/videos/{id:str}", opt=needs(Right.READ_ACCOUNTS) | SEE)
async def see_video(request: Call, id: FromPath[str]) -> Response[bytes]:
    """A video: how far it is, what can be played of it, and the tasks that work for it."""
    known = id_of(id)
    recorded = await VIDEOS.present(request, known)
    return ok(_shown(request, known, VIDEOS.folded(recorded), await tasks_of(request, [recorded])))


@get("/v1/videos/{id:str}/status", opt=needs(Right.READ_ACCOUNTS) | STATUS)
async def see_video_status(request: Call, id: FromPath[str]) -> Response[bytes]:
    """How far it is, in short."""
    known = id_of(id)
    return ok(await _short(request, known))


@get_only("/v1/videos/{id:str}/stream", opt=needs(Right.READ_ACCOUNTS) | STREAM)
async def follow_video(request: Call, id: FromPath[str]) -> Stream:
    """How far it is, live: server-sent events until it is complete, failed or cancelled."""
    known = id_of(id)
    await VIDEOS.present(request, known)
    return Stream(_frames(request, known), media_type="text/event-stream", headers=LIVE)


@delete("/v1/videos/{id:str}", opt=needs(Right.WRITE) | DELETE, status_code=200)
async def delete_video(request: Call, id: FromPath[str]) -> Response[bytes]:
    """Delete a video: what runs for it is cancelled, and its files are removed after a while."""
    return await VIDEOS.delete(request, id_of(id))


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
    recorded = await VIDEOS.present(request, id)
    found = VIDEOS.folded(recorded)
    told = making.told(found, await tasks_of(request, [recorded]) if found.works else {})
    return Short(id=id, status=told.status, progress=told.progress, stage=told.stage, error=told.error)


def _shown(request: Call, id: UUID, found: Video, tasks: Mapping[UUID, Task]) -> dict[str, Any]:
    created, planned, here = found.created, found.planned, f"/v1/videos/{id}"
    assert created is not None and found.created_at is not None, "What exists was created."
    told: Making = making.told(found, tasks)
    names, files = Names(found), ticket.folder(request, id)
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
        "links": {"self": here}
        | {name: f"{here}/{name}" for name in ("status", "stream")}
        | ({"retry": f"/v1/tasks/{told.to_retry}/retry"} if told.to_retry is not None else {}),
    }
