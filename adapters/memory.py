"""The log and the task rows in dictionaries: the readable reference of what Postgres does, and the tests' double."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from domain import holding, subjects, task
from domain.holding import Change, Held, Place
from domain.log import Conflict, Entry, Fact, Meta, Once, Recorded, Replayed, stream_of
from domain.task import Status, Task


@dataclass(slots=True)
class Row:
    task: Task
    first: Meta  # of the fact that made the task: its request, correlation and trace
    last: Fact
    lease_until: datetime | None = None


class Memory:
    """The ports `domain.log.Log` and `domain.holding.Tasks`. `now` is the database's clock, by which leases run out.

    Facts have no position before `sequence` is called. What the tables' CHECKs refuse is not refused here."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._streams: dict[str, dict[int, Fact]] = {}
        self._outbox: list[Fact] = []
        self._ledger: list[Fact] = []
        self._positions: dict[UUID, int] = {}
        self._rows: dict[UUID, Row] = {}
        self._keys: dict[tuple[str, str, str], Once] = {}

    # The log.

    async def append(self, entry: Entry) -> None:
        if entry.once and (first := self._keys.get(_key(entry.once))):
            raise Replayed(first.fingerprint, first.answer)
        changes = holding.changes(entry)
        changed = {stream_of("task", change.id) for change in changes}
        new = [fact for fact in entry.facts if fact.stream not in changed]
        taken = any(fact.version in self._streams.get(fact.stream, {}) for fact in new)
        if taken or any(id in self._rows for id, _ in entry.tasks) or not all(map(self._passes, changes)):
            raise Conflict("Somebody else wrote first.")
        if entry.once:
            self._keys[_key(entry.once)] = entry.once
        last = {fact.stream: fact for fact in map(self._write, new)}
        for id, state in entry.tasks:
            fact = last[stream_of("task", id)]
            self._rows[id] = Row(state, fact.meta, fact)
        for change in changes:
            self._apply(change, actor="")

    async def read(self, stream: str) -> Sequence[Recorded]:
        facts = self._streams.get(stream, {})
        return [Recorded(self._positions.get(facts[v].id), facts[v]) for v in sorted(facts)]

    async def ledger(self, after: int, limit: int) -> Sequence[Recorded]:
        return [Recorded(n, fact) for n, fact in enumerate(self._ledger[after : after + limit], after + 1)]

    def sequence(self, limit: int = 5_000) -> int:
        """Number the next facts, as the relay does; answers how many."""
        moved, self._outbox = self._outbox[:limit], self._outbox[limit:]
        self.number(moved)
        return len(moved)

    def number(self, facts: Sequence[Fact]) -> None:
        """Give these the next positions."""
        for fact in facts:
            self._ledger.append(fact)
            self._positions[fact.id] = len(self._ledger)

    def unnumbered(self) -> list[Fact]:
        """What was written since it was last asked for; whoever asks sees to it that it is numbered."""
        taken, self._outbox = self._outbox, []
        return taken

    def position(self, fact: UUID) -> int | None:
        return self._positions.get(fact)

    # The rows.

    async def claim(
        self,
        ids: Sequence[UUID],
        facts: Sequence[UUID],
        worker: str,
        kinds: Sequence[str],
        lease_s: float,
        at: datetime,
    ) -> list[Held]:
        held = []
        for id, fact in zip(ids, facts, strict=True):
            row = self._rows.get(id)
            if row is None or row.task.kind not in kinds:
                continue
            for event in task.start(row.task, worker):
                subject = subjects.of_task(row.task.queue, row.task.kind, "started", id)
                meta = _caused(row, f"worker/{worker}")
                self._evolve(row, Fact(fact, stream_of("task", id), row.task.version + 1, at, event, meta, subject))
                row.lease_until = self._now() + timedelta(seconds=lease_s)
                held.append(Held(id, row.task, row.first.correlation_id, row.first.traceparent, self._now()))
        return held

    async def settle(self, changes: Sequence[Change], actor: str) -> set[UUID]:
        passed = [change for change in changes if self._passes(change)]
        for change in passed:
            self._apply(change, actor)
        return {change.id for change in passed}

    async def extend(self, beats: Sequence[tuple[UUID, int, Any]], lease_s: float) -> dict[UUID, bool]:
        still = {}
        for id, turn, progress in beats:
            row = self._rows.get(id)
            if row is None or not _held(row, turn):
                continue
            row.lease_until = self._now() + timedelta(seconds=lease_s)
            row.task = msgspec.structs.replace(row.task, progress=progress or row.task.progress)
            still[id] = row.task.cancel_requested is not None
        return still

    async def get(self, ids: Sequence[UUID]) -> dict[UUID, Task]:
        return {id: self._rows[id].task for id in ids if id in self._rows}

    async def queued(self, queues: Sequence[str], kinds: Sequence[str], limit: int) -> list[UUID]:
        found = [pair for pair in self._of(Status.QUEUED) if pair[1].queue in queues and pair[1].kind in kinds]
        return [id for id, _ in sorted(found, key=_by_due)[:limit]]

    async def due(self, now: datetime, limit: int) -> list[tuple[UUID, Task]]:
        found = [pair for pair in self._of(Status.SCHEDULED) if pair[1].due_at and pair[1].due_at <= now]
        return sorted(found, key=_by_due)[:limit]

    async def next_due(self) -> datetime | None:
        return min((state.due_at for _, state in self._of(Status.SCHEDULED) if state.due_at), default=None)

    async def expired(self, limit: int) -> list[tuple[UUID, Task]]:
        return [(id, state) for id, state in self._of(Status.IN_PROGRESS) if self._silent(self._rows[id])][:limit]

    async def unheard(
        self, queue: str, delivered: int, first: int, after: Place | None, limit: int
    ) -> tuple[list[tuple[UUID, int]], Place | None]:
        queued = sorted((pair for pair in self._of(Status.QUEUED) if pair[1].queue == queue), key=_by_due)
        page = [pair for pair in queued if after is None or _by_due(pair) > after][:limit]
        told = [(id, self._positions.get(self._rows[id].last.id)) for id, _ in page]
        found = [(id, position) for id, position in told if position and (position <= delivered or position < first)]
        return found, _by_due(page[-1]) if len(page) == limit else None

    async def clock(self) -> datetime:
        return self._now()

    # Fences and facts.

    def _passes(self, change: Change) -> bool:
        row = self._rows.get(change.id)
        return (
            row is not None
            and (change.version is None or row.task.version == change.version)
            and (change.turn is None or _held(row, change.turn))
            and (not change.uncancelled or row.task.cancel_requested is None)
            and (not change.expired or self._silent(row))
        )

    def _silent(self, row: Row) -> bool:
        return row.lease_until is not None and row.lease_until < self._now()

    def _apply(self, change: Change, actor: str) -> None:
        """The facts follow the row as it is now: the holder's fence is its turn, whatever the version."""
        row = self._rows[change.id]
        for fact in change.facts:
            meta = fact.meta if change.keep_meta else _caused(row, actor)
            self._evolve(row, replace(fact, version=row.task.version + 1, meta=meta))
        if row.task.status is not Status.IN_PROGRESS:
            row.lease_until = None

    def _evolve(self, row: Row, fact: Fact) -> None:
        assert isinstance(fact.event, task.Event)
        row.task, row.last = task.evolve(row.task, fact.event, fact.at), self._write(fact)

    def _write(self, fact: Fact) -> Fact:
        self._streams.setdefault(fact.stream, {})[fact.version] = fact
        self._outbox.append(fact)
        return fact

    def _of(self, status: Status) -> list[tuple[UUID, Task]]:
        return [(id, row.task) for id, row in self._rows.items() if row.task.status is status]


def _held(row: Row, turn: int) -> bool:
    return row.task.status is Status.IN_PROGRESS and row.task.turn == turn


def _caused(row: Row, actor: str) -> Meta:
    first = row.first
    return Meta(
        actor=actor,
        request_id=first.request_id,
        correlation_id=first.correlation_id,
        causation_id=row.last.id,
        traceparent=first.traceparent,
    )


def _key(once: Once) -> tuple[str, str, str]:
    return once.holder, once.route, once.key


def _by_due(pair: tuple[UUID, Task]) -> tuple[datetime, UUID]:
    assert pair[1].due_at is not None, "What is queued or scheduled was due at some time."
    return pair[1].due_at, pair[0]
