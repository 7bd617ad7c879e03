"""Faults of Postgres: a session of it dies, and what other users of it do."""

import asyncio
import os
import signal
from contextlib import suppress
from functools import partial
from random import Random

import asyncpg

from infra.drill.faults.fault import BOTH, Fault, Missed, struck
from infra.drill.service import Service

OURS = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename = 'postcommit'"
MANY = 300


async def backend_killed(service: Service, lasts_s: float, chance: Random) -> None:
    """kill -9 of one session of Postgres, after which Postgres ends all others and recovers."""
    async with service.postgres() as connection:

        async def sessions() -> list[int]:
            return [row["pid"] for row in await connection.fetch(OURS)]

        pids = await struck(sessions, "session of ours")
    with suppress(ProcessLookupError):
        os.kill(chance.choice(pids), signal.SIGKILL)


async def idle_connections(service: Service, lasts_s: float, chance: Random) -> None:
    """Somebody holds 300 connections to Postgres, or all that it still has, and does nothing."""
    held: list[asyncpg.Connection[asyncpg.Record]] = []
    try:
        async with service.postgres():  # it may be recovering from the fault before
            pass
        with suppress(asyncpg.TooManyConnectionsError):  # it has no more of them
            for _ in range(MANY):
                held.append(await asyncpg.connect(service.run["postgres"], timeout=10))
        if not held:
            raise Missed("There was not one free connection.")
        await asyncio.sleep(lasts_s)
    finally:
        for one in held:
            one.terminate()


async def statement_held(service: Service, lasts_s: float, chance: Random, *, statement: str) -> None:
    """A transaction stays open after this statement."""
    async with service.postgres() as connection:
        await connection.execute("BEGIN")
        await connection.execute(statement, timeout=30)
        await asyncio.sleep(lasts_s)
        await connection.execute("ROLLBACK", timeout=10)


COUNTING = "SELECT count(*) FROM postcommit.events"
LOCKING = "LOCK TABLE postcommit.tasks IN SHARE ROW EXCLUSIVE MODE"
OF_POSTGRES: dict[str, Fault] = {
    "backend-killed:postgres": Fault(backend_killed, touches=BOTH),
    "idle-connections:postgres": Fault(idle_connections, (3.0, 10.0), BOTH),
    "transaction-open:postgres": Fault(partial(statement_held, statement=COUNTING), (3.0, 15.0)),
    "tasks-locked:postgres": Fault(partial(statement_held, statement=LOCKING), (1.0, 12.0), BOTH),
}
