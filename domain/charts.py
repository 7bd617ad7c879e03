"""What is told of the figures: buckets of time, each with its sums, and the sums of all."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from domain import figures, sketch
from domain.record import Record

STEP: Mapping[str, timedelta] = {figures.HOUR: timedelta(hours=1), figures.DAY: timedelta(days=1)}
BEGIN: Mapping[str, Callable[[datetime], datetime]] = {figures.HOUR: figures.hour, figures.DAY: figures.day}
MOST_BUCKETS = 1_000


class Figure(NamedTuple):
    """A sum of one bucket, or of the whole range where `begins_at` is None; of run times the count and the buckets in
    which the percentiles are."""

    begins_at: datetime | None
    figure: str
    label: str
    value: int
    p50: int | None = None
    p90: int | None = None
    p99: int | None = None
    max: int | None = None


class RunTimes(Record, frozen=True):
    """Of `count` attempts, in seconds, each within 2 %: so many percent of the attempts took no longer."""

    count: int
    p50: float
    p90: float
    p99: float
    max: float


class TaskFigures(Record, frozen=True):
    """Of one kind. `stumbled` and `rescued` count attempts, the others tasks."""

    accepted: int = 0
    complete: int = 0
    failed: int = 0
    cancelled: int = 0
    stumbled: int = 0
    rescued: int = 0
    run_s: RunTimes | None = None


class Sums(Record, frozen=True):
    """`orders` were confirmed; `orders_recorded` are counted as sales, and `revenue` is theirs: cents by currency."""

    signups: int
    orders: int
    orders_recorded: int
    revenue: dict[str, int]
    tasks: dict[str, TaskFigures]


class Bucket(Record, frozen=True, rename={"begins_at": "from"}):
    begins_at: datetime
    signups: int
    orders: int
    orders_recorded: int
    revenue: dict[str, int]
    tasks: dict[str, TaskFigures]


class Chart(Record, frozen=True):
    """`since` is inclusive and `until` is not; all facts up to `position` are in it."""

    per: str
    since: datetime
    until: datetime
    position: int
    buckets: list[Bucket]
    totals: Sums


def begins(per: str, since: datetime, until: datetime) -> list[datetime]:
    """The buckets from the one that holds `since` to the last that begins before `until`.

    Raises ValueError, with a sentence, where these are none or more than 1,000."""
    first = BEGIN[per](since)
    if until <= since:
        raise ValueError("Expected a time after `since`")
    if until - first > MOST_BUCKETS * STEP[per]:
        raise ValueError(f"Expected at most {MOST_BUCKETS:,} buckets, and these are more: ask for less, or per day")
    try:
        found = [first]
        while found[-1] + STEP[per] < until:
            found.append(found[-1] + STEP[per])
    except OverflowError:
        raise ValueError("Expected a time before the last day of the year 9999") from None
    return found


def chart(per: str, begins: list[datetime], position: int, told: Iterable[Figure]) -> Chart:
    """The answer; what no figure tells of is 0."""
    by_bucket: dict[datetime | None, list[Figure]] = {}
    for one in told:
        by_bucket.setdefault(one.begins_at, []).append(one)
    buckets = [Bucket(begins_at=at, **msgspec.structs.asdict(_sums(by_bucket.get(at, ())))) for at in begins]
    end = begins[-1] + STEP[per]
    return Chart(
        per=per, since=begins[0], until=end, position=position, buckets=buckets, totals=_sums(by_bucket.get(None, ()))
    )


def _sums(told: Iterable[Figure]) -> Sums:
    plain: dict[str, int] = {}
    revenue: dict[str, int] = {}
    tasks: dict[str, dict[str, int]] = {}
    runs: dict[str, RunTimes] = {}
    for one in sorted(told, key=lambda one: (one.label, one.figure)):
        if one.figure == figures.REVENUE:
            revenue[one.label] = one.value
        elif one.figure == figures.RUN:
            runs[one.label] = _run_times(one)
        elif one.figure in figures.TASKS:
            tasks.setdefault(one.label, {})[one.figure] = one.value
        else:
            plain[one.figure] = one.value
    return Sums(
        signups=plain.get(figures.SIGNUPS, 0),
        orders=plain.get(figures.ORDERS, 0),
        orders_recorded=plain.get(figures.ORDERS_RECORDED, 0),
        revenue=revenue,
        tasks={kind: TaskFigures(**counts, run_s=runs.get(kind)) for kind, counts in tasks.items()},
    )


def _run_times(one: Figure) -> RunTimes:
    p50, p90, p99, longest = (round(sketch.seconds(b or 0), 6) for b in (one.p50, one.p90, one.p99, one.max))
    return RunTimes(count=one.value, p50=p50, p90=p90, p99=p99, max=longest)
