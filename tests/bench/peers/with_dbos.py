"""DBOS: Postgres, a workflow for each task, its result kept."""

import os
import threading
from collections.abc import Sequence
from typing import Any

import asyncpg
from dbos import DBOS, DBOSClient

from tests.bench.contender import POSTGRES, TUNED, Contender, program
from tests.bench.record import began

URL = POSTGRES.replace("postgresql://", "postgresql+psycopg://")
VERSION = "bench"


def config(executor: str) -> Any:
    return {
        "name": "bench",
        "system_database_url": URL,
        "log_level": "WARNING",
        "application_version": VERSION,
        "executor_id": executor,
        "sys_db_pool_size": 20,
    }


class Dbos(Contender):
    said = {
        "default": "a queue as it is: polls once a second, no limit; an asynchronous workflow",
        "tuned": "polls every 50 ms, 100 at once, a pool of 20",
    }
    drained = 3_000

    async def reset(self) -> None:
        connection = await asyncpg.connect(POSTGRES)
        await connection.execute("DROP SCHEMA IF EXISTS dbos CASCADE")
        await connection.close()
        DBOS(config=config("maker"))  # makes its schema
        DBOS.launch()
        DBOS.destroy()

    async def open(self) -> None:
        self.client = DBOSClient(system_database_url=URL)
        self.connection = await asyncpg.connect(POSTGRES)

    async def close(self) -> None:
        self.client.destroy()
        await self.connection.close()

    async def enqueue(self, payload: dict[str, Any]) -> None:
        how: Any = {"workflow_name": "noop", "queue_name": "bench", "app_version": VERSION}
        await self.client.enqueue_async(how, payload)

    async def finished(self) -> int:
        query = "SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS'"
        return int(await self.connection.fetchval(query))

    def workers(self, processes: int) -> Sequence[Sequence[str]]:
        return [[*program("with_dbos")] for _ in range(processes)]


CONTENDER = Dbos


if __name__ == "__main__":
    DBOS(config=config(f"worker-{os.getpid()}"))

    @DBOS.workflow(name="noop")
    async def noop(payload: dict[str, Any]) -> dict[str, Any]:
        began(payload)
        return {"id": payload["id"]}

    DBOS.launch()
    if TUNED:
        DBOS.register_queue("bench", polling_interval_sec=0.05, worker_concurrency=100)
    else:
        DBOS.register_queue("bench")
    threading.Event().wait()
