"""Procrastinate: Postgres, the row's status is kept, and no result."""

import logging
import sys
from collections.abc import Sequence
from typing import Any

import procrastinate
import psycopg

from tests.bench.contender import POSTGRES, TUNED, Contender, in_batches, program
from tests.bench.record import began

pool: dict[str, int] = {"min_size": 4, "max_size": 20} if TUNED else {}
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=POSTGRES, **pool))


@app.task(name="noop")
async def noop(payload: dict[str, Any]) -> dict[str, Any]:
    began(payload)
    return {"id": payload["id"]}


class Procrastinate(Contender):
    said = {
        "default": "the procrastinate command: one at once, a pool of 4, LISTEN and NOTIFY",
        "tuned": "20 at once, a pool of up to 20, uvloop, log level WARNING",
    }
    drained = 3_000

    async def reset(self) -> None:
        async with await psycopg.AsyncConnection.connect(POSTGRES, autocommit=True) as connection:
            await connection.execute("DROP SCHEMA public CASCADE")
            await connection.execute("CREATE SCHEMA public")
        async with app.open_async():
            await app.schema_manager.apply_schema_async()

    async def open(self) -> None:
        await app.open_async()
        self.connection = await psycopg.AsyncConnection.connect(POSTGRES, autocommit=True)

    async def close(self) -> None:
        await app.close_async()
        await self.connection.close()

    async def enqueue(self, payload: dict[str, Any]) -> None:
        await noop.defer_async(payload=payload)

    async def enqueue_many(self, payloads: Sequence[dict[str, Any]]) -> None:
        await noop.batch_defer_async(*({"payload": payload} for payload in payloads))

    async def fill(self, payloads: Sequence[dict[str, Any]]) -> None:
        for some in in_batches(payloads):
            await self.enqueue_many(some)

    async def finished(self) -> int:
        found = await self.connection.execute("SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'")
        [count] = await found.fetchone() or [0]
        return int(count)

    def workers(self, processes: int) -> Sequence[Sequence[str]]:
        plain = [sys.executable, "-m", "procrastinate", "--app", "tests.bench.peers.with_procrastinate.app", "worker"]
        return [program("with_procrastinate") if TUNED else plain] * processes


CONTENDER = Procrastinate


async def work() -> None:
    async with app.open_async():
        await app.run_worker_async(concurrency=20)


if __name__ == "__main__":
    import uvloop

    logging.basicConfig(level=logging.WARNING)
    uvloop.run(work())
