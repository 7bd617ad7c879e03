"""The log itself: page by page, or live."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Annotated
from uuid import UUID

import msgspec
import structlog
from litestar import Response
from litestar import get as get_only
from litestar.params import QueryParameter
from litestar.response import Stream

from adapters.http import examples
from adapters.http.auth import needs
from adapters.http.described import Reply, described
from adapters.http.desk import Call, Desk, desk
from adapters.http.export import NDJSON, exported, limit_of, wanted
from adapters.http.methods import get
from adapters.http.page import LARGEST, MOST_ITEMS, POSITION, Id, Limit, Position, limited, page
from adapters.http.problems import Problem, invalid
from adapters.http.shown import ENCODER
from domain.access import Right
from domain.views import HEAD, Line

logger = structlog.get_logger()
PING_S = 15.0
AT_ONCE = 200  # lines that a stream takes with one question
Begin = Annotated[int | None, QueryParameter(ge=0, le=LARGEST, description=POSITION)]
EPOCH = "Postcommit-Epoch"
LIVE = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class EventPage(msgspec.Struct):
    items: list[Line]
    next: int | None
    epoch: UUID
    head: int  # the position at which the log ends


LIST = described(
    "list_events",
    "Log",
    {
        200: Reply(
            EventPage,
            EventPage([examples.LINE], 7, examples.EPOCH, 9),
            may=["Link", EPOCH],
            also={NDJSON: ENCODER.encode(examples.LINE).decode() + "\n"},
        )
    },
)
FRAMES = f': the log\n: epoch {examples.EPOCH}\nretry: 2000\nid: 6\n\nid: 7\ndata: {{"position":7,…}}\n\n: ping\n\n'
STREAM = described(
    "stream_events",
    "Log",
    {200: Reply(Line, FRAMES, [*LIVE, EPOCH], media_type="text/event-stream")},
    takes=["Last-Event-ID"],
    problems=["log-changed"],
)


@get("/v1/events", opt=needs(Right.READ_LOG) | LIST)
async def list_events(request: Call, after: Position = 0, limit: Limit = 50) -> Response[bytes] | Stream:
    """The facts after a position, in order: a page of JSON, or by `Accept` all of them as NDJSON. Another `epoch` than
    before: positions have changed, begin anew."""
    queries, most = desk(request).service.queries, limited(limit)
    if (kind := wanted(request, NDJSON)) is not None:
        head = (await queries.cursors([HEAD]))[HEAD]
        export = await exported(kind, _pages(request, after, head), limit_of(request, limit))
        export.headers[EPOCH] = str(await queries.epoch())
        return export
    lines = await queries.events(after, most)
    head = (await queries.cursors([HEAD]))[HEAD]
    following = lines[-1].position if lines and lines[-1].position < head else None
    return page(lines, following, request, epoch=await queries.epoch(), head=head)


async def _pages(request: Call, after: int, head: int) -> AsyncIterator[Sequence[Line]]:
    """All facts up to the head, a page at a time."""
    while lines := await desk(request).service.queries.events(after, MOST_ITEMS):
        if whole := [line for line in lines if line.position <= head]:
            yield whole
        after = lines[-1].position
        if after >= head:
            return


@get_only("/v1/events/stream", opt=needs(Right.READ_LOG) | STREAM)
async def stream_events(request: Call, after: Begin = None, epoch: Id = None) -> Stream:
    """The facts as they come, as server-sent events: after Last-Event-ID, else after `after`, else from now on.

    Its epoch is told first. 409 where the log is not in the `epoch` that the caller has followed, or ends before."""
    queries = desk(request).service.queries
    now, head = await queries.epoch(), (await queries.cursors([HEAD]))[HEAD]
    begin = last_seen(request) if "last-event-id" in request.headers else after
    if epoch not in (None, now):
        raise Problem("log-changed", f"Its epoch is {now}, not {epoch}: begin anew.", epoch=now, head=head)
    if begin is not None and begin > head:
        raise Problem("log-changed", f"It ends at {head}, before {begin}: begin anew.", epoch=now, head=head)
    live = frames(desk(request), now, head if begin is None else begin)
    return Stream(live, media_type="text/event-stream", headers=LIVE | {EPOCH: str(now)})


async def frames(desk: Desk, epoch: UUID, after: int, ping_s: float = PING_S) -> AsyncGenerator[bytes, None]:
    """The stream after a position, until the service stops or the epoch changes. Without Postgres there are pings."""
    yield b": the log\n: epoch %b\nretry: 2000\nid: %d\n\n" % (str(epoch).encode(), after)
    while not desk.service.stopping.is_set():
        try:
            lines = await desk.service.queries.events(after, AT_ONCE)
            if await desk.service.queries.epoch() != epoch:  # asked last: lines of another epoch are not passed on
                return
        except Exception as error:  # the connection outlives it: whoever follows need not begin again
            logger.warning("stream.failed", error=str(error) or type(error).__name__)
            yield b": ping\n\n"
            await pause(desk.service.stopping, 1.0)
            continue
        if lines:
            after = lines[-1].position
            yield _frames(lines)
        elif not await desk.cursors.until(HEAD, _beyond(after), ping_s):
            yield b": ping\n\n"


def _frames(lines: Sequence[Line]) -> bytes:
    return b"".join(b"id: %d\ndata: %b\n\n" % (line.position, one_line(line)) for line in lines)


def one_line(value: object) -> bytes:
    """What Postgres keeps as JSON may hold line breaks between its tokens; a frame may not."""
    return (value if isinstance(value, bytes) else ENCODER.encode(value)).replace(b"\r", b" ").replace(b"\n", b" ")


def _beyond(position: int) -> Callable[[int], bool]:
    return lambda head: head > position


async def pause(stopping: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)


def last_seen(request: Call) -> int:
    """The position that Last-Event-ID names. Raises Problem."""
    text = request.headers["last-event-id"].strip()
    if not (text.isascii() and text.isdigit() and int(text[:20]) <= LARGEST):
        raise invalid([{"header": "Last-Event-ID", "detail": f"Expected {POSITION}"}])
    return int(text)
