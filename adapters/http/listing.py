"""Tasks, listed: filtered, newest first, a page at a time."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response
from litestar.params import QueryParameter

from adapters.http import examples
from adapters.http.auth import needs
from adapters.http.described import Reply, described
from adapters.http.desk import Call, desk
from adapters.http.methods import get
from adapters.http.page import Id, Limit, Text, limited, page
from adapters.http.problems import invalid
from adapters.http.shown import TaskShown, shown
from domain.access import Right
from domain.task import Status
from domain.views import Wanted

KNOWN = ", ".join(status for status in Status if status is not Status.UNKNOWN)
Statuses = Annotated[list[Status] | None, QueryParameter(description=f"one of {KNOWN}")]
Moment = Annotated[str | None, QueryParameter(max_length=256, format="date-time", description="a time as in RFC 3339")]
Time = Annotated[datetime, msgspec.Meta(tz=True)]  # as RFC 3339 has it, with an offset


class TaskPage(msgspec.Struct):
    items: list[TaskShown]
    next: UUID | None


LIST = described(
    "list_tasks",
    "Tasks",
    {
        200: Reply(
            TaskPage,
            TaskPage([examples.TASK], examples.TASK_ID),
            may=["Link"],
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
    after: Id = None,
    limit: Limit = 50,
) -> Response[bytes]:
    """Tasks, newest first. `since` is inclusive and `until` is not; a client sees its own only."""
    wanted = Wanted(
        status=tuple(status or ()),
        kind=kind,
        queue=queue,
        by=by,
        owner=None if request.user.sees("") else request.user.name,
        since=_utc("since", since),
        until=_utc("until", until),
        after=after,
        limit=limited(limit),
    )
    found, more = await desk(request).service.queries.tasks(wanted)
    last = str(found[-1].id) if more else None
    return page([TaskShown(**shown(seen)) for seen in found], last, request)


def _utc(name: str, text: str | None) -> datetime | None:
    try:
        return msgspec.convert(text, Time).astimezone(UTC) if text is not None else None
    except msgspec.ValidationError:
        detail = "Expected a time as in RFC 3339, with an offset, such as 2030-01-31T12:00:00Z"
    except OverflowError:
        detail = "This time does not exist in UTC"
    raise invalid([{"parameter": name, "detail": detail}])
