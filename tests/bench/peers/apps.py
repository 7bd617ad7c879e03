"""FastAPI in front of each way to run a task later: POST /tasks takes it and answers 202 with an id.

BENCH_APP is one of `background` (FastAPI's BackgroundTasks: in memory), `insert` (one row, no queue at all), `outbox`
(row and outbox row in one transaction, written by hand), `pgqueuer` (the row and PgQueuer's in one transaction), or the
module of a contender, which is called as it stands."""

import importlib
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import BackgroundTasks, FastAPI
from pydantic import BaseModel

from tests.bench.contender import POSTGRES

APP = os.environ["BENCH_APP"]
TABLES = """
DROP TABLE IF EXISTS facts, outbox;
CREATE TABLE facts (
    id uuid PRIMARY KEY, kind text NOT NULL, payload jsonb NOT NULL, at timestamptz NOT NULL DEFAULT now());
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, subject text NOT NULL, payload jsonb NOT NULL,
    at timestamptz NOT NULL DEFAULT now());
"""
FACT = "INSERT INTO facts (id, kind, payload) VALUES ($1, $2, $3::jsonb)"
DUTY = "INSERT INTO outbox (subject, payload) VALUES ('tasks', $1::jsonb)"
here: dict[str, Any] = {}


class Task(BaseModel):
    id: int
    t: int
    kind: str
    user: str
    tags: list[str]
    amount: float
    pad: str


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    await prepare()
    if APP in ("insert", "outbox", "pgqueuer"):
        import asyncpg

        here["pool"] = await asyncpg.create_pool(POSTGRES, min_size=32, max_size=32)
    elif APP != "background":
        here["contender"] = contender = importlib.import_module(f"tests.bench.peers.{APP}").CONTENDER()
        await contender.open()
    yield


app = FastAPI(lifespan=lifespan)


async def noop(payload: dict[str, Any]) -> None:
    return None


if APP == "background":

    @app.post("/tasks", status_code=202)
    async def background(task: Task, later: BackgroundTasks) -> dict[str, str]:
        later.add_task(noop, task.model_dump())
        return {"id": str(uuid.uuid4())}

elif APP == "insert":

    @app.post("/tasks", status_code=202)
    async def insert(task: Task) -> dict[str, str]:
        id = uuid.uuid4()
        async with here["pool"].acquire() as connection:
            await connection.execute(FACT, id, task.kind, task.model_dump_json())
        return {"id": str(id)}

elif APP == "outbox":

    @app.post("/tasks", status_code=202)
    async def outbox(task: Task) -> dict[str, str]:
        id, told = uuid.uuid4(), task.model_dump_json()
        async with here["pool"].acquire() as connection, connection.transaction():
            await connection.execute(FACT, id, task.kind, told)
            await connection.execute(DUTY, told)
        return {"id": str(id)}

elif APP == "pgqueuer":
    from pgqueuer.db import AsyncpgDriver
    from pgqueuer.queries import Queries

    @app.post("/tasks", status_code=202)
    async def queued(task: Task) -> dict[str, str]:
        id, told = uuid.uuid4(), task.model_dump_json()
        async with here["pool"].acquire() as connection, connection.transaction():
            await connection.execute(FACT, id, task.kind, told)
            await Queries(AsyncpgDriver(connection)).enqueue("noop", told.encode())
        return {"id": str(id)}

elif APP == "with_celery":

    @app.post("/tasks", status_code=202)
    def sent(task: Task) -> dict[str, str]:
        here["contender"].enqueue_now(task.model_dump())
        return {"id": str(uuid.uuid4())}

else:

    @app.post("/tasks", status_code=202)
    async def enqueued(task: Task) -> dict[str, str]:
        enqueue: Callable[[dict[str, Any]], Awaitable[None]] = here["contender"].enqueue
        await enqueue(task.model_dump())
        return {"id": str(uuid.uuid4())}


async def prepare() -> None:
    """Empty tables, an empty queue."""
    if APP in ("insert", "outbox", "pgqueuer"):
        import asyncpg

        if APP == "pgqueuer":
            await importlib.import_module("tests.bench.peers.with_pgqueuer").CONTENDER().reset()
        connection = await asyncpg.connect(POSTGRES)
        await connection.execute(TABLES)
        await connection.close()
    elif APP != "background":
        await importlib.import_module(f"tests.bench.peers.{APP}").CONTENDER().reset()


if __name__ == "__main__":
    import sys

    import uvicorn

    uvicorn.run(app, port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False, log_level="warning")
