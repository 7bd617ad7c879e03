"""faststream-outbox as a queue of its own: Postgres, the row is deleted at the end, no result."""

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg
from faststream import FastStream
from faststream_outbox import OutboxBroker, make_outbox_table
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import create_async_engine

from tests.bench.contender import POSTGRES, TUNED, Contender, in_batches, program
from tests.bench.record import began

metadata = MetaData()
table = make_outbox_table(metadata, table_name="outbox")
engine = create_async_engine(POSTGRES.replace("postgresql://", "postgresql+asyncpg://"), pool_size=20 if TUNED else 5)
broker = OutboxBroker(engine, outbox_table=table)
app = FastStream(broker)
TUNING: dict[str, Any] = {
    "max_workers": 10,
    "fetch_batch_size": 500,
    "terminal_flush_batch_size": 100,
    "min_fetch_interval": 0.02,
    "max_fetch_interval": 1.0,
}


@broker.subscriber("noop", **(TUNING if TUNED else {}))
async def noop(payload: dict[str, Any]) -> None:
    began(payload)


class Outbox(Contender):
    said = {
        "default": "one worker, fetches 10, at most once a second while idle; one transaction for each task",
        "tuned": "10 workers, fetches 500, flushes 100 ends at once, looks every 20 ms, a pool of 20, uvloop",
    }
    drained = 15_000

    async def reset(self) -> None:
        connection = await asyncpg.connect(POSTGRES)
        await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        await connection.close()
        async with engine.begin() as transaction:
            await transaction.run_sync(metadata.create_all)

    async def open(self) -> None:
        self.connection = await asyncpg.connect(POSTGRES)
        await broker.connect()
        self.asked = 0

    async def close(self) -> None:
        await self.connection.close()

    async def enqueue(self, payload: dict[str, Any]) -> None:
        async with engine.begin() as transaction:
            await broker.publish(payload, queue="noop", session=transaction)
        self.asked += 1

    async def enqueue_many(self, payloads: Sequence[dict[str, Any]]) -> None:
        async with engine.begin() as transaction:
            await broker.publish_batch(*payloads, queue="noop", session=transaction)
        self.asked += len(payloads)

    async def fill(self, payloads: Sequence[dict[str, Any]]) -> None:
        for some in in_batches(payloads):
            await self.enqueue_many(some)

    async def finished(self) -> int:
        return self.asked - int(await self.connection.fetchval("SELECT count(*) FROM outbox"))

    def workers(self, processes: int) -> Sequence[Sequence[str]]:
        return [program("with_outbox")] * processes


CONTENDER = Outbox

if __name__ == "__main__":
    if TUNED:
        import uvloop

        uvloop.run(app.run(log_level=30))
    else:
        asyncio.run(app.run())
