"""Tasks, listed: filtered, newest first, a page at a time."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response
from litestar.params import QueryParameter

from adapters.http.auth import needs
from adapters.http.cursor import opened, sealed
from adapters.http.desk import Call, desk
from adapters.http.methods import get
from adapters.http.page import Limit, Text, limited, page
from adapters.http.problems import invalid
from adapters.http.shown import TaskShown, shown
from domain.access import Right
from domain.task import Status
from domain.views import Wanted

KNOWN = ", ".join(status for status in Status if status is not Status.UNKNOWN)
Statuses = Annotated[list[Status] | None, QueryParameter(description=f"one of {KNOWN}")]
SHORT = frozenset(Status) - {Status.COMPLETE, Status.UNKNOWN}  # these have indexes of their own
UNSERVED = "No index serves it alone: add kind, by, since, or a status other than complete"
Time = Annotated[datetime, msgspec.Meta(tz=True)]  # as RFC 3339 has it, with an offset


@get("/v1/tasks", opt=needs(Right.READ_TASKS))
async def list_tasks(
    request: Call,
    status: Statuses = None,
    kind: Text = None,
    queue: Text = None,
    by: Text = None,
    since: Text = None,
    until: Text = None,
    after: Text = None,
    limit: Limit = 50,
) -> Response[bytes]:
    """Tasks, newest first. `since` is inclusive and `until` is not; a client sees its own only."""
    owner = None if request.user.sees("") else request.user.name
    if queue is not None and not (kind or by or owner or since or set(status or ()) & SHORT):
        raise invalid([{"parameter": "queue", "detail": UNSERVED}])
    wanted = Wanted(
        status=tuple(status or ()),
        kind=kind,
        queue=queue,
        by=by,
        owner=owner,
        since=_utc("since", since),
        until=_utc("until", until),
        after=UUID(last) if (last := opened(request, after)) else None,
        limit=limited(limit),
    )
    found, more = await desk(request).service.queries.tasks(wanted)
    following = sealed(request, str(found[-1].id)) if more else None
    return page([TaskShown(**shown(seen)) for seen in found], following, request)


def _utc(name: str, text: str | None) -> datetime | None:
    try:
        return msgspec.convert(text, Time).astimezone(UTC) if text is not None else None
    except msgspec.ValidationError:
        detail = "Expected a time as in RFC 3339, with an offset, such as 2030-01-31T12:00:00Z"
    except OverflowError:
        detail = "This time does not exist in UTC"
    raise invalid([{"parameter": name, "detail": detail}])
