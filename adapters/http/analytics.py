"""The analytics, as their reader has written them."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec
from litestar import Response
from litestar.params import QueryParameter

from adapters.http.audit import caught_up
from adapters.http.auth import needs
from adapters.http.desk import Call, desk
from adapters.http.methods import get
from adapters.http.page import Id, Position
from adapters.http.problems import invalid
from adapters.http.shown import ok
from domain import charts, figures
from domain.access import Right

READER = "analytics"
SHOWN = {figures.HOUR: timedelta(days=1), figures.DAY: timedelta(days=30)}  # where nobody says since when
Per = Annotated[Literal["hour", "day"], QueryParameter(description="`hour` or `day`")]
Kind = Annotated[
    str | None,
    QueryParameter(pattern=r"^[A-Za-z0-9_-]{1,64}(?!\n)$", description="a kind: 1 to 64 of A-Z a-z 0-9 _ -"),
]
TIME = "a time as in RFC 3339, with an offset, such as 2030-01-31T12:00:00Z"
Time = Annotated[str | None, QueryParameter(description=TIME)]
WithOffset = Annotated[datetime, msgspec.Meta(tz=True)]


@get("/v1/analytics", opt=needs(Right.READ_LOG))
async def see_analytics(
    request: Call,
    per: Per = "hour",
    since: Time = None,
    until: Time = None,
    kind: Kind = None,
    after_event: Id = None,
    after_position: Position = 0,
) -> Response[bytes]:
    """Sign-ups, orders, revenue and tasks, by the hour or the day: of the last 24 hours or 30 days, or from `since` to
    before `until`. With `after_event` or `after_position` it waits until the reader has applied that."""
    end = _utc("until", until) or desk(request).service.now()
    begins = _begins(per, _utc("since", since) or _shown(per, end), end)
    await caught_up(desk(request), READER, after_event, after_position)
    position, told = await desk(request).service.queries.figures(per, begins[0], begins[-1], kind)
    return ok(charts.chart(per, begins, position, told))


def _shown(per: str, end: datetime) -> datetime:
    """Since when, where nobody says."""
    return end - min(SHOWN[per], end - datetime.min.replace(tzinfo=UTC))


def _begins(per: str, since: datetime, until: datetime) -> list[datetime]:
    try:
        return charts.begins(per, since, until)
    except ValueError as error:
        raise invalid([{"parameter": "until", "detail": str(error)}]) from error


def _utc(name: str, text: str | None) -> datetime | None:
    try:
        return msgspec.convert(text, WithOffset).astimezone(UTC) if text is not None else None
    except (msgspec.ValidationError, OverflowError):
        raise invalid([{"parameter": name, "detail": f"Expected {TIME}"}]) from None
