"""PgQueuer: Postgres, one row a task, which is deleted at the end; its log keeps the status, and no result."""

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from tests.bench.contender import POSTGRES, TUNED, Contender, in_batches, program
from tests.bench.record import began


def registered(queuer: PgQueuer) -> PgQueuer:
    @queuer.entrypoint("noop")
    async def noop(job: Job) -> None:
        began(json.loads(job.payload or b""))

    return queuer


class Queuer(Contender):
    said = {
        "default": "PgQueuer.run() as it is: one connection, batches of 10; the client has one connection",
        "tuned": "a pool of 10, batches of 200, uvloop; the client has a pool of 20",
    }
    drained = 30_000

    async def reset(self) -> None:
        connection = await asyncpg.connect(POSTGRES)
        await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        await Queries(AsyncpgDriver(connection)).install()
        await connection.close()

    async def open(self) -> None:
        self.pool = await asyncpg.create_pool(POSTGRES, min_size=20 if TUNED else 1, max_size=20 if TUNED else 1)
        self.queries = Queries(AsyncpgPoolDriver(self.pool))

    async def close(self) -> None:
        await self.pool.close()

    async def enqueue(self, payload: dict[str, Any]) -> None:
        await self.queries.enqueue("noop", json.dumps(payload).encode())

    async def enqueue_many(self, payloads: Sequence[dict[str, Any]]) -> None:
        many = [json.dumps(payload).encode() for payload in payloads]
        await self.queries.enqueue(["noop"] * len(many), many, [0] * len(many))

    async def fill(self, payloads: Sequence[dict[str, Any]]) -> None:
        for some in in_batches(payloads):
            await self.enqueue_many(some)

    async def finished(self) -> int:
        return int(await self.pool.fetchval("SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'"))

    def workers(self, processes: int) -> Sequence[Sequence[str]]:
        return [program("with_pgqueuer")] * processes


CONTENDER = Queuer


async def tuned() -> None:
    async with asyncpg.create_pool(POSTGRES, min_size=10, max_size=10) as pool:
        await registered(PgQueuer(AsyncpgPoolDriver(pool))).run(batch_size=200)


async def plain() -> None:
    await registered(PgQueuer(AsyncpgDriver(await asyncpg.connect(POSTGRES)))).run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    if TUNED:
        import uvloop

        uvloop.run(tuned())
    else:
        asyncio.run(plain())
