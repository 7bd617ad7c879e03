"""A task, followed live: server-sent events until it has ended."""

from collections.abc import AsyncGenerator, Callable, Sequence

import structlog
from litestar import Response
from litestar import get as get_only
from litestar.params import FromPath
from litestar.response import Stream

from adapters.http.auth import needs
from adapters.http.described import Reply, described
from adapters.http.desk import Call, Desk, desk, find_task
from adapters.http.events import LIVE, PING_S, last_seen, one_line, pause
from adapters.http.history import Item, items
from adapters.http.shown import TaskShown, id_of, task_json
from adapters.http.wait import glance
from domain.access import Right
from domain.log import stream_of
from domain.outcome import Progress
from domain.views import Glance, Seen

logger = structlog.get_logger()
FRAMES = (
    'retry: 2000\nevent: task\ndata: {"status":"in_progress",…}\n\n'
    'id: 7\nevent: fact\ndata: {"name":"task.started",…}\n\n'
    'event: progress\ndata: {"done":1.0,"total":4.0,"unit":"s","note":""}\n\n: ping\n\n'
)
FOLLOW = described(
    "follow_task",
    "Tasks",
    {200: Reply((TaskShown, Item, Progress), FRAMES, [*LIVE], media_type="text/event-stream"), 204: Reply()},
    takes=["Last-Event-ID"],
)
ENDS = frozenset({"task.completed", "task.failed", "task.cancelled"})
PING = b": ping\n\n"


@get_only("/v1/tasks/{id:str}/stream", opt=needs(Right.READ_TASKS) | FOLLOW)
async def follow_task(request: Call, id: FromPath[str]) -> Response[bytes] | Stream:
    """First the task as it is; then its facts after Last-Event-ID (else all), each with its position as `id:`, and
    between them its fine progress, without an id. The stream ends with the task. Who comes back then gets 204, after
    which an EventSource rests."""
    seen = await find_task(request, id_of(id))
    after = last_seen(request) if "last-event-id" in request.headers else 0
    told = await _facts(desk(request), seen, 0)
    if after and any(item.name in ENDS and (item.position or after) <= after for item in told):
        return Response(b"", status_code=204)
    return Stream(frames(desk(request), seen, after), media_type="text/event-stream", headers=LIVE)


async def frames(desk: Desk, seen: Seen, after: int, ping_s: float = PING_S) -> AsyncGenerator[bytes, None]:
    """The frames after a position, until the task has ended or the service stops. Without Postgres there are pings."""
    yield b"retry: 2000\nevent: task\ndata: %b\n\n" % one_line(task_json(seen))
    known = glance(seen)
    while not desk.service.stopping.is_set():
        try:
            facts = await _facts(desk, seen, after)
            for item in _numbered(facts):
                after = item.position or after
                yield b"id: %d\nevent: fact\ndata: %b\n\n" % (after, one_line(item))
                if item.name in ENDS:
                    return
            if unnumbered := [item for item in facts if item.position is None]:
                came = await desk.positions.until(unnumbered[0].id, bool, ping_s)
            else:
                came = await desk.tasks.until(seen.id, _differs(known), ping_s)
                now = (await desk.service.queries.glance([seen.id]))[seen.id]
                if now.progress is not None and now.progress != known.progress:
                    yield b"event: progress\ndata: %b\n\n" % one_line(now.progress)
                known = now
        except Exception as error:  # the connection outlives it: whoever follows need not begin again
            logger.warning("stream.failed", error=str(error) or type(error).__name__)
            came = False
            await pause(desk.service.stopping, 1.0)
        if not came:
            yield PING


async def _facts(desk: Desk, seen: Seen, after: int) -> Sequence[Item]:
    """The task's facts behind a position, those without one as yet among them."""
    recorded = await desk.service.log.read(stream_of("task", seen.id))
    return [item for item in items(recorded) if item.position is None or item.position > after]


def _numbered(facts: Sequence[Item]) -> Sequence[Item]:
    """Those that come before the first one without a position."""
    until = next((number for number, item in enumerate(facts) if item.position is None), len(facts))
    return facts[:until]


def _differs(known: Glance) -> Callable[[Glance], bool]:
    return lambda now: now != known
