"""The audit: who did what to what, when, from where. A fold of the log, one line a fact."""

from datetime import datetime

from domain import catalogue
from domain.log import Recorded
from domain.record import Record


class Line(Record, frozen=True):
    position: int
    at: datetime
    actor: str
    action: str  # the event's name: "account.registered"
    subject: str  # the stream: "account-0190c2…"
    address: str | None
    request_id: str | None


def line(recorded: Recorded) -> Line:
    """The audit's line about a fact."""
    assert recorded.position is not None, "Readers see numbered facts only."
    fact = recorded.fact
    return Line(
        position=recorded.position,
        at=fact.at,
        actor=fact.meta.actor,
        action=catalogue.NAMES[type(fact.event)],
        subject=fact.stream,
        address=fact.meta.address,
        request_id=fact.meta.request_id,
    )
