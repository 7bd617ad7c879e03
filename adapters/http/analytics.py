"""The analytics, as their reader has written them."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec
from litestar import Response
from litestar.params import QueryParameter

from adapters.http.auth import needs
from adapters.http.caught_up import caught_up
from adapters.http.described import Reply, described
from adapters.http.desk import Call, desk
from adapters.http.methods import get
from adapters.http.page import Id, Moment, Position, utc
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


NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
PROBES = charts.TaskFigures(accepted=3, complete=3, run_s=charts.RunTimes(count=3, p50=0.1, p90=0.2, p99=0.2, max=0.2))
SUMS = charts.Sums(signups=1, orders=2, orders_recorded=1, revenue={"EUR": 4200}, tasks={"probe": PROBES})
BUCKET = charts.Bucket(begins_at=NOON, **msgspec.structs.asdict(SUMS))
CHART = charts.Chart(per="hour", since=NOON, until=NOON + timedelta(hours=1), position=7, buckets=[BUCKET], totals=SUMS)
SEE = described("see_analytics", "Log", {200: Reply(charts.Chart, CHART)}, problems=["not-yet", "log-changed"])


@get("/v1/analytics", opt=needs(Right.READ_LOG) | SEE)
async def see_analytics(
    request: Call,
    per: Per = "hour",
    since: Moment = None,
    until: Moment = None,
    kind: Kind = None,
    after_event: Id = None,
    after_position: Position = 0,
) -> Response[bytes]:
    """Sign-ups, orders, revenue and tasks, by the hour or the day: of the last 24 hours or 30 days, or from `since` to
    before `until`. With `after_event` or `after_position` it waits until the reader has applied that."""
    end = utc("until", until) or desk(request).service.now()
    begins = _begins(per, utc("since", since) or _shown(per, end), end)
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
