"""The ports `domain.log.Log` and `domain.holding.Tasks` over the simulated Postgres, as a process holds them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from adapters.postgres.database import Unavailable
from domain.holding import Change, Held, Place
from domain.log import Entry, Recorded, stream_of
from domain.task import Started, Task
from tests.simulation.postgres import Postgres, done

T = TypeVar("T")


@dataclass
class Rows:
    postgres: Postgres

    async def append(self, entry: Entry) -> None:
        memory, changed = self.postgres.memory, [id for id, _ in entry.changed]
        ids = [*changed, *(id for id, _ in entry.tasks)]
        write = self.postgres.write(ids, len(entry.facts), lambda: done(memory.append(entry)))
        await self.postgres.act(write)

    async def read(self, id: UUID) -> Sequence[Recorded]:
        stream = stream_of("task", id)
        return await self._read(lambda: done(self.postgres.memory.read(stream)))

    async def claim(
        self,
        ids: Sequence[UUID],
        facts: Sequence[UUID],
        worker: str,
        kinds: Sequence[str],
        lease_s: float,
        at: datetime,
    ) -> list[Held]:
        """After a lost answer it is read back, as the port says."""
        try:
            return await self._claim(ids, facts, worker, kinds, lease_s, at)
        except Unavailable:
            if held := await self._read(lambda: self._claimed(ids, facts)):
                return held
            raise

    async def _claim(self, ids: Sequence[UUID], facts: Sequence[UUID], *how: Any) -> list[Held]:
        left = dict(zip(ids, facts, strict=True))

        def skip(locked: set[UUID]) -> None:
            for id in locked:
                if (row := self.postgres.row(id)) is not None:
                    self.postgres.skipped.add((id, row.version))
                del left[id]

        def effect() -> list[Held]:
            return done(self.postgres.memory.claim(list(left), list(left.values()), *how))

        return await self.postgres.act(self.postgres.write(ids, len(ids), effect, skip))

    def _claimed(self, ids: Sequence[UUID], facts: Sequence[UUID]) -> list[Held]:
        """As find_claims.sql: still held under the fact that made it."""
        held, rows = [], self.postgres.memory._rows
        for id, fact in zip(ids, facts, strict=True):
            for one in done(self.postgres.memory.read(stream_of("task", id))):
                event = one.fact.event
                if one.fact.id == fact and isinstance(event, Started) and self._held(id, event.turn):
                    row = rows[id]
                    held.append(Held(id, row.task, row.first.correlation_id, row.first.traceparent))
        return held

    async def settle(self, changes: Sequence[Change], actor: str) -> set[UUID]:
        most = sum(len(change.facts) for change in changes)
        ids = [change.id for change in changes]
        write = self.postgres.write(ids, most, lambda: done(self.postgres.memory.settle(changes, actor)))
        return await self.postgres.act(write)

    async def extend(self, beats: Sequence[tuple[UUID, int, Any]], lease_s: float) -> dict[UUID, bool]:
        def effect() -> dict[UUID, bool]:
            memory, locked = self.postgres.memory, self.postgres.locked
            still: dict[UUID, bool] = done(memory.extend([beat for beat in beats if beat[0] not in locked], lease_s))
            passed_by = [(id, memory._rows[id].task) for id, turn, _ in beats if id in locked and self._held(id, turn)]
            return still | {id: task.cancel_requested is not None for id, task in passed_by}

        return await self._read(effect)

    def _held(self, id: UUID, turn: int) -> bool:
        row = self.postgres.row(id)
        return row is not None and row.status == "in_progress" and row.turn == turn

    async def get(self, ids: Sequence[UUID]) -> dict[UUID, Task]:
        return await self._read(lambda: done(self.postgres.memory.get(ids)))

    async def queued(self, queues: Sequence[str], kinds: Sequence[str], limit: int) -> list[UUID]:
        return await self._read(lambda: done(self.postgres.memory.queued(queues, kinds, limit)))

    async def due(self, now: datetime, limit: int) -> list[tuple[UUID, Task]]:
        return await self._read(lambda: done(self.postgres.memory.due(now, limit)))

    async def next_due(self) -> datetime | None:
        return await self._read(lambda: done(self.postgres.memory.next_due()))

    async def expired(self, limit: int) -> list[tuple[UUID, Task]]:
        return await self._read(lambda: done(self.postgres.memory.expired(limit)))

    async def unheard(
        self, queue: str, delivered: int, first: int, after: Place | None, limit: int
    ) -> tuple[list[tuple[UUID, int]], Place | None]:
        return await self._read(lambda: done(self.postgres.memory.unheard(queue, delivered, first, after, limit)))

    async def clock(self) -> datetime:
        return await self._read(self.postgres.clock)

    async def oldest_queued(self, queue: str) -> int | None:
        return await self._read(lambda: self.postgres.oldest_queued(queue))

    async def _read(self, effect: Callable[[], T]) -> T:
        return await self.postgres.read(effect)
