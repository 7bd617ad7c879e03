"""Connections for the few statements on which everything rests.

To take one out of a pool and to give it back takes as long as a small statement, and so does planning it: Postgres
would plan a claim of three tasks anew every time, because that looks cheaper than the plan for ten. These are planned
once for each connection, and no plan of theirs reads a table from end to end, however empty it was at the time."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import asyncpg
from asyncpg.protocol import protocol

STATEMENTS = frozenset({"append_entries", "claim_tasks", "settle_tasks", "extend_leases"})
SETTINGS = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"}
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Connect = Callable[[], Awaitable[Connection]]


def know_arrays() -> None:
    """Tell asyncpg that lists and tuples are arrays, and nothing else is. Whether an element is one itself it asks of
    two abstract classes, fifty times for one task, which takes a tenth of the API's time.

    It is told to the whole process, so only a process of our own may say so."""
    protocol.IterableABC = protocol.SizedABC = (list, tuple)  # type: ignore[attr-defined]


class Hot:
    """At most `most` connections, made when they are needed."""

    def __init__(self, connect: Connect, most: int) -> None:
        self._connect, self._most = connect, most
        self._free: list[Connection] = []
        self._count = 0

    @property
    def ready(self) -> bool:
        """Whether one is free, or can be made."""
        return bool(self._free) or self._count < self._most

    async def fetch(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """Run one statement. Only while `ready`; raises what asyncpg raises."""
        connection = self._taken() or await self._made()
        try:
            rows = await connection.fetch(query, *arguments)
        except asyncpg.PostgresError:
            self._back(connection)
            raise
        except BaseException:  # cut off in the middle: of what is not known
            connection.terminate()
            self._back(connection)
            raise
        self._back(connection)
        return rows

    def _taken(self) -> "asyncpg.Connection[asyncpg.Record] | None":
        while self._free:
            if not (connection := self._free.pop()).is_closed():
                return connection
            self._count -= 1
        return None

    async def _made(self) -> Connection:
        self._count += 1
        try:
            return await self._connect()
        except BaseException:
            self._count -= 1
            raise

    def _back(self, connection: Connection) -> None:
        if connection.is_closed():
            self._count -= 1
        else:
            self._free.append(connection)

    async def close(self) -> None:
        while self._free:
            await self._free.pop().close()
