"""Analytics: the task that counts an order."""

from uuid import UUID

from domain.kind import Backoff, Kind
from domain.record import Record


class Request(Record, frozen=True):
    """`order` is the id of a confirmed order."""

    order: UUID


class Result(Record, frozen=True):
    order: UUID
    total_cents: int
    currency: str


KIND = Kind(
    name="analytics_record",
    request=Request,
    result=Result,
    queue="analytics",
    max_attempts=12,
    deadline_s=30.0,
    backoff=Backoff(first_s=0.5, longest_s=60.0),
)
