"""The rows of the tasks: what workers take, hold and finish, and what the lifeline looks for."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import func, select

from adapters.postgres import codec, settle
from adapters.postgres.database import Database, Unavailable
from domain.holding import Change, Held, Place
from domain.task import Task

logger = structlog.get_logger()
FRONT: Place = datetime(1, 1, 1, tzinfo=UTC), UUID(int=0)


class PostgresTasks:
    """The port `domain.holding.Tasks`; its methods are told there."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(
        self,
        ids: Sequence[UUID],
        facts: Sequence[UUID],
        worker: str,
        kinds: Sequence[str],
        lease_s: float,
        at: datetime,
    ) -> list[Held]:
        try:
            rows = await self._database.fetch(
                "claim_tasks", list(ids), list(facts), worker, list(kinds), timedelta(seconds=lease_s), at
            )
        except Unavailable:
            if not (rows := await self._database.fetch("find_claims", list(facts))):
                raise  # nothing was taken, or is not yet: the bells are to come again
        return _held(rows, timedelta(seconds=lease_s))

    async def settle(self, changes: Sequence[Change], actor: str) -> set[UUID]:
        rows = await self._database.fetch("settle_tasks", *settle.columns(changes, actor))
        return {codec.uuid(row["id"]) for row in rows}

    async def extend(self, beats: Sequence[tuple[UUID, int, Any]], lease_s: float) -> dict[UUID, bool]:
        ids, turns, progress = codec.transposed(list(beats), 3)
        told = [codec.optional(value) for value in progress]
        rows = await self._database.fetch("extend_leases", ids, turns, told, timedelta(seconds=lease_s))
        return {codec.uuid(row["id"]): row["cancel_requested"] for row in rows}

    async def get(self, ids: Sequence[UUID]) -> dict[UUID, Task]:
        rows = await self._database.fetch("get_tasks", list(ids))
        return {codec.uuid(row["id"]): codec.task(row) for row in rows}

    async def queued(self, queues: Sequence[str], kinds: Sequence[str], limit: int) -> list[UUID]:
        rows = await self._database.fetch("find_queued", list(queues), list(kinds), limit)
        return [codec.uuid(row["id"]) for row in rows]

    async def due(self, now: datetime, limit: int) -> list[tuple[UUID, Task]]:
        return _pairs(await self._database.fetch("find_due", now, limit))

    async def next_due(self) -> datetime | None:
        rows = await self._database.fetch("next_due")
        return rows[0]["due_at"] if rows else None

    async def expired(self, limit: int) -> list[tuple[UUID, Task]]:
        return _pairs(await self._database.fetch("find_expired", limit))

    async def unheard(
        self, queue: str, delivered: int, first: int, after: Place | None, limit: int
    ) -> tuple[list[tuple[UUID, int]], Place | None]:
        rows = await self._database.fetch("find_unheard", queue, delivered, first, *(after or FRONT), limit)
        found = [(codec.uuid(row["id"]), row["position"]) for row in rows if row["unheard"]]
        more = len(rows) == limit
        return found, (rows[-1]["due_at"], codec.uuid(rows[-1]["id"])) if more else None

    async def clock(self) -> datetime:
        async with self._database.core() as connection:
            found: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
            return found

    async def oldest_queued(self, queue: str) -> int | None:
        """The position of the oldest fact that made a task of the queue queued which still is; None where none is."""
        rows = await self._database.fetch("oldest_queued", queue)
        return rows[0]["position"] if rows else None


def _pairs(rows: Sequence[Any]) -> list[tuple[UUID, Task]]:
    return [(codec.uuid(row["id"]), state) for row in rows if (state := _readable(row)) is not None]


def _held(rows: Sequence[Any], lease: timedelta) -> list[Held]:
    told = [(row, _readable(row)) for row in rows]
    return [
        Held(codec.uuid(row["id"]), state, row["correlation_id"], row["traceparent"], row["lease_until"] - lease)
        for row, state in told
        if state is not None
    ]


def _readable(row: Any) -> Task | None:
    """The task; None, aloud, where its JSON cannot be decoded: it came in by no door of ours."""
    try:
        return codec.task(row)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        logger.error("tasks.unreadable", task=str(row["id"]), error=str(error))
        return None
