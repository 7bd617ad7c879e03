"""The figures: sign-ups, orders, revenue, tasks and their run times, by the hour and by the day. A fold of the log.

Each figure is a sum, so it is the same however the log was cut into pieces. The time is that of the fact, in UTC."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from domain import account, order, sketch, task
from domain.log import Event, Fact, Recorded

HOUR, DAY = "hour", "day"
SIGNUPS, ORDERS, ORDERS_RECORDED, REVENUE, RUN = "signups", "orders", "orders_recorded", "revenue", "run"
ENDS = (task.Completed, task.Failed, task.Stumbled, task.Cancelled)
COUNTED: Mapping[type[Event], str] = {
    task.Completed: "complete",
    task.Failed: "failed",
    task.Cancelled: "cancelled",
    task.Stumbled: "stumbled",
    task.Rescued: "rescued",
}
TASKS = ("accepted", *COUNTED.values())


class Key(NamedTuple):
    per: str  # HOUR or DAY
    begins_at: datetime
    figure: str
    label: str = ""  # of a task its kind, of revenue its currency
    bucket: int = 0  # of a run time, see domain.sketch


def fold(recorded: Iterable[Recorded], running: dict[str, datetime]) -> Counter[Key]:
    """What the facts add to each figure. `running` tells when the attempts began that run before the first of them, by
    stream; it is changed to those that run after the last."""
    total: Counter[Key] = Counter()
    for one in recorded:
        fact = one.fact
        for figure, label, bucket, more in _of(fact, running):
            for per, begins_at in ((HOUR, hour(fact.at)), (DAY, day(fact.at))):
                total[Key(per, begins_at, figure, label, bucket)] += more
    return total


def began_before(recorded: Iterable[Recorded]) -> dict[str, int]:
    """The attempts that end in these facts and did not begin in them: by stream, the version of the end."""
    seen: set[str] = set()
    found: dict[str, int] = {}
    for fact in (one.fact for one in recorded):
        if fact.stream not in seen and isinstance(fact.event, (task.Started, task.Rescued, *ENDS)):
            seen.add(fact.stream)
            if not isinstance(fact.event, task.Started):
                found[fact.stream] = fact.version
    return found


def hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def day(at: datetime) -> datetime:
    return hour(at).replace(hour=0)


def _of(fact: Fact, running: dict[str, datetime]) -> Iterator[tuple[str, str, int, int]]:
    """Figure, label, bucket, and what is added."""
    match fact.event:
        case account.Registered():
            yield SIGNUPS, "", 0, 1
        case order.Confirmed():
            yield ORDERS, "", 0, 1
        case order.Recorded(total_cents=cents, currency=currency):
            yield ORDERS_RECORDED, "", 0, 1
            yield REVENUE, currency, 0, cents
        case task.Queued(asked=task.Asked()) | task.Scheduled(asked=task.Asked()) | task.Waiting():
            yield "accepted", kind_of(fact), 0, 1
        case task.Started():
            running[fact.stream] = fact.at
        case event if (figure := COUNTED.get(type(event))) is not None:
            yield figure, kind_of(fact), 0, 1
            began = running.pop(fact.stream, None)
            if began is not None and isinstance(event, ENDS):  # when the holder of a rescued one ended, nobody knows
                yield RUN, kind_of(fact), sketch.bucket(fact.at - began), 1
        case _:
            return


def kind_of(fact: Fact) -> str:
    """The kind of the task that the fact is of: every subject of a task names it."""
    return fact.subject.split(".")[3]
