"""Tasks, listed: filtered, newest first, a page at a time."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated

import msgspec
from litestar import Response
from litestar.params import QueryParameter
from litestar.response import Stream
from msgspec.structs import replace

from adapters.http import examples
from adapters.http.auth import needs
from adapters.http.cursor import opened_id, sealed
from adapters.http.described import Reply, described
from adapters.http.desk import Call, desk
from adapters.http.export import NDJSON, exported, limit_of
from adapters.http.export import wanted as wanted_as
from adapters.http.methods import get
from adapters.http.page import MOST_ITEMS, Limit, Moment, Text, limited, page, utc
from adapters.http.problems import invalid
from adapters.http.shown import ENCODER, TaskShown, shown
from domain.access import Right
from domain.task import Status
from domain.views import Wanted

KNOWN = ", ".join(status for status in Status if status is not Status.UNKNOWN)
Statuses = Annotated[list[Status] | None, QueryParameter(description=f"one of {KNOWN}")]
SHORT = frozenset(Status) - {Status.COMPLETE, Status.UNKNOWN}  # these have indexes of their own
UNSERVED = "No index serves it alone: add kind, by, since, or a status other than complete"


class TaskPage(msgspec.Struct):
    items: list[TaskShown]
    next: str | None


LIST = described(
    "list_tasks",
    "Tasks",
    {
        200: Reply(
            TaskPage,
            TaskPage([examples.TASK], examples.CURSOR),
            may=["Link"],
            also={NDJSON: ENCODER.encode(examples.TASK).decode() + "\n"},
        )
    },
)


@get("/v1/tasks", opt=needs(Right.READ_TASKS) | LIST)
async def list_tasks(
    request: Call,
    status: Statuses = None,
    kind: Text = None,
    queue: Text = None,
    by: Text = None,
    since: Moment = None,
    until: Moment = None,
    after: Text = None,
    limit: Limit = 50,
) -> Response[bytes] | Stream:
    """Tasks, newest first: a page of JSON, or by `Accept` all of them as NDJSON. `since` is inclusive and `until` is
    not; a client sees its own only."""
    owner = None if request.user.sees("") else request.user.name
    if queue is not None and not (kind or by or owner or since or set(status or ()) & SHORT):
        raise invalid([{"parameter": "queue", "detail": UNSERVED}])
    wanted = Wanted(
        status=tuple(status or ()),
        kind=kind,
        queue=queue,
        by=by,
        owner=owner,
        since=utc("since", since),
        until=utc("until", until),
        after=opened_id(request, after),
        limit=limited(limit),
    )
    if (kind_of := wanted_as(request, NDJSON)) is not None:
        return await exported(kind_of, _pages(request, wanted), limit_of(request, limit))
    found, more = await desk(request).service.queries.tasks(wanted)
    following = sealed(request, str(found[-1].id)) if more else None
    return page([TaskShown(**shown(seen)) for seen in found], following, request)


async def _pages(request: Call, wanted: Wanted) -> AsyncIterator[Sequence[TaskShown]]:
    """All tasks, a page at a time."""
    more = True
    while more:
        found, more = await desk(request).service.queries.tasks(replace(wanted, limit=MOST_ITEMS))
        yield [TaskShown(**shown(seen)) for seen in found]
        wanted = replace(wanted, after=found[-1].id) if found else wanted
