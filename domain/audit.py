"""The audit: who did what to what, when, from where. A fold of the log, one line a fact."""

from datetime import datetime
from typing import Any

import msgspec

from domain import catalogue, item, order, task
from domain.log import Event, Recorded
from domain.record import Record

Values = dict[str, Any]


class Line(Record, frozen=True):
    position: int
    at: datetime
    actor: str
    action: str  # the event's name: "account.registered"
    subject: str  # the stream: "account-0190c2…"
    address: str | None
    request_id: str | None
    before: Values | None = None  # what was changed, as it was; never personal data
    after: Values | None = None  # and as it is now


class Wanted(Record, frozen=True):
    """Which lines a list holds: all conditions together, in the order of positions, at most `limit`, behind `after`."""

    subject: str | None = None
    actor: str | None = None
    action: str | None = None
    request_id: str | None = None
    since: datetime | None = None  # at or after
    until: datetime | None = None  # before
    after: int = 0
    limit: int = 50


def line(recorded: Recorded) -> Line:
    """The audit's line about a fact."""
    assert recorded.position is not None, "Readers see numbered facts only."
    fact = recorded.fact
    before, after = _change(fact.event)
    return Line(
        position=recorded.position,
        at=fact.at,
        actor=fact.meta.actor,
        action=catalogue.NAMES[type(fact.event)],
        subject=fact.stream,
        address=fact.meta.address,
        request_id=fact.meta.request_id,
        before=before,
        after=after,
    )


def _change(event: Event) -> tuple[Values | None, Values | None]:
    """What was before and what is after, where that helps; of a change, the changed fields only."""
    match event:
        case item.Created(details=details):
            return None, _values(details)
        case item.Changed(before=before, after=after):
            old, new = _values(before), _values(after)
            changed = [name for name in new if old[name] != new[name]]
            return {name: old[name] for name in changed}, {name: new[name] for name in changed}
        case item.Deleted(before=before):
            return _values(before), None
        case order.Created(total_cents=total_cents, currency=currency):
            return None, {"total_cents": total_cents, "currency": currency}
        case task.CancelRequested(reason=reason) | task.Cancelled(reason=reason) if reason:
            return None, {"reason": reason}
        case task.Retried(task=new_task):
            return None, {"task": str(new_task)}
        case _:
            return None, None


def _values(record: Record) -> Values:
    values: Values = msgspec.to_builtins(record)
    return values
