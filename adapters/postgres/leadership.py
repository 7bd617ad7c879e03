"""The relay's own connection: who leads, and the numbering of the log. Both on one session, so that a leader whose
session is gone can number nothing."""

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import asyncpg

from adapters.postgres.database import GONE, Unavailable, connect, statement

LEADER = 0x72656C61  # the advisory lock of the relay
MOST_BEYOND = 200_000
LOW_EVERY_S = 0.25  # how often a gap in the outbox's numbers is looked at
SETTINGS = {
    "application_name": "postcommit relay leader",
    "idle_session_timeout": "3s",  # Postgres itself ends the session of a frozen leader, and with it the lock
    "idle_in_transaction_session_timeout": "3s",
    "statement_timeout": "5s",
    "tcp_keepalives_idle": "1",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "3000",
    "enable_seqscan": "off",  # the outbox may be full of dead rows that an open snapshot keeps
    "enable_bitmapscan": "off",
}


class Leadership:
    """A session that may lead. Leading means: it holds the advisory lock; whoever has not, stands by."""

    def __init__(
        self, connection: "asyncpg.Connection[asyncpg.Record]", monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._connection, self._monotonic = connection, monotonic
        self.last = 0  # the position that this session gave last
        self._low = 0  # every outbox row up to here was moved, and none can appear there any more
        self._beyond: set[int] = set()  # moved rows above `low`, where numbers between are missing
        self._mark: tuple[int, frozenset[str]] | None = None  # the next low, and who may still write below it
        self._marked_at = 0.0
        self._busy = asyncio.Lock()  # a connection does one thing at a time

    @classmethod
    async def open(cls, dsn: str) -> Self:
        """Connect. Raises Unavailable."""
        try:
            return cls(await connect(dsn, SETTINGS, command_timeout_s=5))
        except GONE as error:
            raise Unavailable(f"Postgres does not answer: {error}") from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._connection.terminate()  # no farewell that could hang: the server frees the lock

    async def lead(self) -> bool:
        """Try to become the leader. A leader that was silent for 5 s has its session ended for it."""
        if await self._connection.fetchval("SELECT pg_try_advisory_lock($1)", LEADER):
            await self.heartbeat()
            return True
        await self._connection.execute(statement("end_silent_leader"), LEADER)
        return False

    async def heartbeat(self) -> None:
        """Say that this session leads and lives."""
        async with self._busy:
            await self._connection.execute(statement("hear_leader"))

    async def leads(self) -> bool:
        """Ask Postgres whether this session still holds the lock: before anything that cannot be taken back."""
        async with self._busy:
            return bool(await self._connection.fetchval(statement("check_leader"), LEADER))

    async def sequence(self, limit: int) -> int:
        """Number the next rows of the outbox; answers how many.

        A position that another leader has taken meanwhile raises UniqueViolationError: nothing was moved, try again."""
        async with self._busy:
            settled = await self._settled()
            [row] = await self._connection.fetch(statement("sequence_outbox"), self._low, limit)
            moved, self.last = row["moved"], row["last"]
            self._beyond.update(moved)
            if len(moved) < limit:
                self._raise_low(settled)
                await self._mark_gap()
            return len(moved)

    def _raise_low(self, settled: int | None) -> None:
        """Skip the dead rows at the outbox's beginning: what was moved without a gap, and what `settled` covers."""
        if settled is not None:
            self._low, self._mark = max(self._low, settled), None
            self._beyond = {number for number in self._beyond if number > self._low}
        if len(self._beyond) > MOST_BEYOND:  # a transaction is open for very long; when it ends, `settled` covers all
            self._beyond = {max(self._beyond)}
        while self._low + 1 in self._beyond:
            self._low += 1
            self._beyond.remove(self._low)

    async def _mark_gap(self) -> None:
        """Numbers are missing: they belong to transactions that run, were rolled back, or were another leader's."""
        if self._beyond and self._mark is None:
            number = await self._connection.fetchval(statement("last_outbox_number"))
            self._mark = number, await self._writers()
            self._marked_at = self._monotonic()

    async def _settled(self) -> int | None:
        """The number up to which no row can appear any more, where a gap waits for one.

        Whoever inserts locks the outbox before it gets a number, and until it ends: once every transaction that held
        that lock after the number was handed out has ended, what is not visible up to the number never will be."""
        if self._mark is None or self._monotonic() - self._marked_at < LOW_EVERY_S:
            return None
        self._marked_at = self._monotonic()
        number, writers = self._mark
        return number if writers.isdisjoint(await self._writers()) else None

    async def _writers(self) -> frozenset[str]:
        return frozenset(await self._connection.fetchval(statement("outbox_writers")))
