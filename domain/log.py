"""The log: what happened, in order. Everything else is read out of it, and everything is written through one door."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain import account, consumer, image, item, key, order, rebuild, report, task, upload, video
from domain.record import Record, Value
from domain.task import Task

Event = (
    task.Event
    | account.Event
    | consumer.Event
    | image.Event
    | image.Gathered
    | item.Event
    | key.Event
    | order.Event
    | rebuild.Event
    | report.Event
    | upload.Event
    | video.Event
)


def stream_of(category: str, id: UUID) -> str:
    """The stream of one thing: "task-0190c2…"."""
    return f"{category}-{id}"


class Conflict(Exception):
    """Somebody else wrote to this stream first: read it again and decide again."""


class Underway(Exception):
    """Somebody else writes under the same idempotency key just now; how that ends is not known yet."""


class Overloaded(Exception):
    """Too much waits to be written; nothing of this was. Try again later."""


class Meta(Record, frozen=True):
    """Who caused an event, from where, and what it belongs to."""

    actor: str  # "client", "worker/3f2a", "system": the name of a key, or of a part of the program
    address: str | None = None  # where the request came from
    request_id: str | None = None
    correlation_id: str | None = None  # the same for all that one request sets off
    causation_id: UUID | None = None  # the event, or the request, that this one follows from
    traceparent: str | None = None  # W3C Trace Context


class Fact(Value, frozen=True):
    """An event with its place in its stream."""

    id: UUID
    stream: str  # see stream_of
    version: int  # in its stream: 1, 2, 3, …, never skips
    at: datetime  # UTC
    event: Event
    meta: Meta
    subject: str  # under which NATS tells of it


class Recorded(Value, frozen=True):
    """A fact as it is read back; `position` is None until the relay has numbered it."""

    position: int | None  # in the whole log: 1, 2, 3, …, never skips
    fact: Fact


class Answer(Value, frozen=True):
    """What a caller was told, kept so that a repeated request gets it again."""

    status: int
    body: bytes  # JSON
    location: str | None = None


class Once(Value, frozen=True):
    """An idempotency key: the same holder, route and key are written once."""

    holder: str
    route: str
    key: str
    fingerprint: bytes  # SHA-256 of the request
    answer: Answer


class Entry(Value, frozen=True):
    """What is written together, or not at all.

    `tasks` are new tasks, by id. `changed` are tasks that exist, as they stand after the last fact of this entry."""

    facts: tuple[Fact, ...]
    tasks: tuple[tuple[UUID, Task], ...] = ()
    changed: tuple[tuple[UUID, Task], ...] = ()
    once: Once | None = None


class Replayed(Exception):
    """The idempotency key was used before: nothing was written."""

    def __init__(self, fingerprint: bytes, answer: Answer) -> None:
        super().__init__("The idempotency key was used before.")
        self.fingerprint = fingerprint
        self.answer = answer


class Log(Protocol):
    """The port to the log. `adapters.memory` is its readable reference; `adapters.postgres` is the real one."""

    async def append(self, entry: Entry) -> None:
        """Write an entry, durably.

        Raises Conflict where a version is taken, Replayed where the idempotency key is, Underway where the key is being
        used for longer than 5 s, Overloaded where too much waits. In each of these cases nothing was written."""

    async def read(self, stream: str) -> Sequence[Recorded]:
        """All facts of one stream, by version; empty where there is no such stream."""

    async def ledger(self, after: int, limit: int) -> Sequence[Recorded]:
        """The next facts after a position, at most `limit`, fewer where they are large; none at the end only."""
