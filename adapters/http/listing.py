"""Tasks, listed: filtered, newest first, a page at a time."""

from datetime import UTC, datetime
from uuid import UUID

from litestar import Response, get
from litestar.params import FromQuery

from adapters.http.auth import needs
from adapters.http.desk import Call, desk
from adapters.http.page import Limit, Text, limited, page
from adapters.http.problems import Problem
from adapters.http.shown import TaskShown, shown
from domain.access import Right
from domain.task import Status
from domain.views import Wanted


@get("/v1/tasks", opt=needs(Right.READ_TASKS))
async def list_tasks(
    request: Call,
    status: FromQuery[list[Status] | None] = None,
    kind: Text = None,
    queue: Text = None,
    by: Text = None,
    since: FromQuery[datetime | None] = None,
    until: FromQuery[datetime | None] = None,
    after: FromQuery[UUID | None] = None,
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
    found = await desk(request).service.queries.tasks(wanted)
    last = str(found[-1].id) if len(found) == wanted.limit else None
    return page([TaskShown(**shown(seen)) for seen in found], last, request)


def _utc(name: str, at: datetime | None) -> datetime | None:
    if at is None:
        return None
    try:
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        errors = [{"parameter": name, "detail": "This time does not exist in UTC"}]
        raise Problem("invalid", f"{name}: this time does not exist in UTC.", errors) from None
