"""What is told of the log and of its tables: the answers to questions, in the shapes in which they leave the house."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from msgspec import Raw

from domain.outcome import Progress
from domain.record import Record
from domain.task import Status, Task

HEAD = "ledger"  # the end of the log itself, among the readers' cursors


class Seen(Record, frozen=True):
    """A task as it stands; `position` is that of its latest fact, None until the relay has numbered it."""

    id: UUID
    task: Task
    position: int | None = None


class Glance(Record, frozen=True):
    """As much of a task as tells whether it has changed."""

    status: Status
    version: int
    progress: Progress | None


class Wanted(Record, frozen=True):
    """Which tasks a list holds: all conditions together, newest first, at most `limit`, older than `after`."""

    status: tuple[Status, ...] = ()
    kind: str | None = None
    queue: str | None = None
    by: str | None = None
    owner: str | None = None  # like `by`, but not of the caller's choice
    since: datetime | None = None  # created at or after
    until: datetime | None = None  # created before
    after: UUID | None = None
    limit: int = 50


class Line(Record, frozen=True):
    """A fact of the log as it is stored, in the version of its time: no upcaster has touched it."""

    position: int
    id: UUID
    stream: str
    version: int
    name: str
    name_version: int  # of the fields of `data`
    at: datetime
    subject: str
    data: Raw
    personal: Raw | None
    meta: Raw


class Gauge(NamedTuple):
    """One number of the database as it is now, for an operator's eyes."""

    name: str
    labels: tuple[str, ...]
    value: float


class Balance(Record, frozen=True):
    """Counts that must agree, all of one moment. Outcomes are counted in the log, open tasks by their rows.

    Facts count from their commit on; `position` is the last of those that are numbered."""

    position: int
    accepted: int
    complete: int
    failed: int
    cancelled: int
    open: int
    difference: int  # accepted − complete − failed − cancelled − open: anything but 0 is an error of the program
