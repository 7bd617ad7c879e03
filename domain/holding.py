"""Holding tasks: what a worker has in its hands, what is written about tasks that exist, and the port to their rows."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from domain.log import Entry, Fact, stream_of
from domain.record import Value
from domain.task import Task

Place = tuple[datetime, UUID]
"""Where a task stands in its queue: when it was due, and its id."""


class Held(Value, frozen=True):
    """A task that this worker holds, with what its row tells of the request that caused it."""

    id: UUID
    task: Task
    correlation_id: str | None
    traceparent: str | None
    claimed_at: datetime | None = None  # by the clock of the rows' keeper, whatever the worker's says


def behind(held: Held, sent: datetime, received: datetime) -> timedelta:
    """How far the worker's clock is behind that of the rows' keeper, who took the claim between these two moments of
    the worker's; negative where it is ahead, nothing where the two may well agree (as NTP reasons, RFC 5905)."""
    at = held.claimed_at
    if at is None or sent <= at <= received:
        return timedelta()
    return at - (received if at > received else sent)


class Change(Value, frozen=True):
    """Facts of one task and its state after them, behind a fence."""

    id: UUID
    after: Task
    facts: tuple[Fact, ...]
    version: int | None = None  # fence: the row's version before; None lets any pass
    turn: int | None = None  # fence: still held under this turn
    uncancelled: bool = False  # fence: nobody has asked to cancel
    expired: bool = False  # fence: the lease has run out
    keep_meta: bool = False  # the facts' own meta; else the row's request, correlation and trace, with `actor`


def changes(entry: Entry) -> list[Change]:
    """The changes of an entry: fenced by the version that was read."""
    found = []
    for id, after in entry.changed:
        facts = tuple(fact for fact in entry.facts if fact.stream == stream_of("task", id))
        found.append(Change(id, after, facts, version=after.version - len(facts), keep_meta=True))
    return found


class Tasks(Protocol):
    """The port to the tasks' rows. Every write is fenced; what does not pass its fence is left alone."""

    async def claim(
        self,
        ids: Sequence[UUID],
        facts: Sequence[UUID],
        worker: str,
        kinds: Sequence[str],
        lease_s: float,
        at: datetime,
    ) -> list[Held]:
        """Take queued tasks; `facts` are the ids of their `started` events, chosen before.

        After a lost answer the claims are read back: what was written is held. Where nothing was, it is not known
        whether it ever will be, and the error is raised: nobody may take the tasks for looked at."""

    async def settle(self, changes: Sequence[Change], actor: str) -> set[UUID]:
        """Write what was decided, at most one change of a task. Answers with the tasks whose fence held; the others
        are as they were."""

    async def extend(self, beats: Sequence[tuple[UUID, int, Any]], lease_s: float) -> dict[UUID, bool]:
        """A heartbeat for (task, turn, progress). Answers with the tasks still held: is a cancellation asked for?"""

    async def get(self, ids: Sequence[UUID]) -> dict[UUID, Task]:
        """The tasks as they stand; an id without a task is missing."""

    async def queued(self, queues: Sequence[str], kinds: Sequence[str], limit: int) -> list[UUID]:
        """What waits for a worker of these queues, the oldest first."""

    async def due(self, now: datetime, limit: int) -> list[tuple[UUID, Task]]:
        """Scheduled tasks whose time has come, by the caller's clock, the longest due first."""

    async def next_due(self) -> datetime | None:
        """When the next scheduled task is due."""

    async def expired(self, limit: int) -> list[tuple[UUID, Task]]:
        """Tasks whose holder let the lease run out, by the database's clock."""

    async def unheard(
        self, queue: str, delivered: int, first: int, after: Place | None, limit: int
    ) -> tuple[list[tuple[UUID, int]], Place | None]:
        """Look at the next `limit` queued tasks of a queue, the longest due first, behind `after` (None: at the front).

        Answers with those whose bell was missed, each with the position of the fact that queued it, and with where the
        next look begins (None: this one reached the end). Missed is a bell at or below `delivered`, up to where the
        queue's consumer has delivered, or below `first`, where the stream begins; what has no position yet is not."""

    async def clock(self) -> datetime:
        """The database's clock, by which leases run out."""
