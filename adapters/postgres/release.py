"""The rows of the tasks within the transaction of the reader that releases them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres import codec, readers, settle
from adapters.postgres.database import Database, statement
from adapters.postgres.following import driver_of
from domain.holding import Change
from domain.log import Recorded
from domain.release import Rows
from domain.task import Task

Release: TypeAlias = Callable[[Rows, Sequence[Recorded]], Awaitable[None]]


async def step(database: Database, release: Release) -> int:
    """Let the next facts release what they set free; answers how many facts these were."""

    async def apply(connection: AsyncConnection, recorded: Sequence[Recorded]) -> None:
        await release(WaitingRows(await driver_of(connection)), recorded)

    return await readers.step(database, readers.RELEASE, apply)


class WaitingRows:
    """The port `domain.release.Rows`."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection

    async def get(self, ids: Sequence[UUID]) -> dict[UUID, Task]:
        return await self._tasks("get_tasks", list(ids))

    async def waiting(self, needs: Sequence[UUID], after: UUID, limit: int) -> dict[UUID, Task]:
        return await self._tasks("find_waiting", list(needs), after, limit)

    async def settle(self, changes: Sequence[Change], actor: str) -> set[UUID]:
        rows = await self._connection.fetch(statement("settle_tasks"), *settle.columns(changes, actor))
        return {codec.uuid(row["id"]) for row in rows}

    async def _tasks(self, name: str, *arguments: object) -> dict[UUID, Task]:
        rows = await self._connection.fetch(statement(name), *arguments)
        return {codec.uuid(row["id"]): codec.task(row) for row in rows}
