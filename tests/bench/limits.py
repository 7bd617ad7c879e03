"""What this machine can do at most: a commit to the disk, Postgres with the rows of one task, JetStream with every
write synced, the HTTP server with an empty answer. Our figures are shown as shares of these."""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from uuid import uuid4

import asyncpg
import nats
import uvloop

from adapters.nats.stream import Limits, LogStream
from domain.mirror import MOST_LINES, Line
from infra.embedded.binaries import postgres_bin, postgres_user
from tests.bench.load import load
from tests.bench.ours import answers, wish
from tests.bench.record import payload
from tests.bench.servers import Bench

ROOT = Path(__file__).parents[2]
SECONDS = 2.0
CLIENTS = (1, 8, 32)
CALLERS = 4  # of the bare unnest, as many as of the batches over HTTP
TABLES = """
DROP SCHEMA IF EXISTS limits CASCADE;
CREATE SCHEMA limits;
CREATE TABLE limits.events (LIKE postcommit.events INCLUDING ALL);
CREATE TABLE limits.outbox (LIKE postcommit.outbox INCLUDING ALL);
CREATE TABLE limits.tasks (LIKE postcommit.tasks INCLUDING ALL);
"""
ROWS = """
WITH asked AS MATERIALIZED ({asked}),
fact AS (
    INSERT INTO limits.events (id, stream, version, name, name_version, at, subject, data, meta)
    SELECT fact, 'task-' || task, 1, 'task.queued', 1, now(), 'tasks.v1.default.noop.queued.' || task, data,
        '{{"actor": "client", "request_id": "0123456789abcdef0123456789abcdef"}}'
    FROM asked
),
duty AS (INSERT INTO limits.outbox (event) SELECT fact FROM asked)
INSERT INTO limits.tasks (id, version, status, kind, queue, request, max_attempts, created_at, due_at, by, last_event)
SELECT task, 1, 'queued', 'noop', 'default', data, 5, now(), now(), 'client', fact FROM asked
"""
NEW = "SELECT uuidv7() AS task, uuidv7() AS fact, '{data}'::json AS data FROM generate_series(1, {many})"
GIVEN = "SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::json[]) AS a (task, fact, data)"
Limit = tuple[str, float]  # its name, how many a second

FSYNC = "disk: fdatasync/s"
COMMITS = "Postgres: commits/s of one task's rows, {} clients"
GROUPS = "Postgres: tasks/s in groups of 100"
UNNEST = "Postgres: tasks/s by a bare unnest of 1,000"
BATCHES = "JetStream, always synced: messages/s in batches of 1,000"
EMPTY = "HTTP server: empty answers/s, 32 connections"


def measured(here: Bench) -> Iterator[Limit]:
    """Each limit once."""
    admin = here.ours.dsn("postgres")
    asyncio.run(_prepared(admin))
    yield FSYNC, _fsync(here)
    for clients in CLIENTS:
        yield COMMITS.format(clients), _pgbench(here, 1, clients)
    yield GROUPS, 100 * _pgbench(here, 100, 4)
    yield UNNEST, uvloop.run(_unnest(admin))
    yield BATCHES, uvloop.run(_batches(here.urls["nats always"]))
    yield EMPTY, _empty(int(here.told["port"]))
    asyncio.run(_run(admin, "DROP SCHEMA limits CASCADE"))


async def _prepared(admin: str) -> None:
    await _run(admin, TABLES)


async def _run(admin: str, sql: str) -> None:
    connection = await asyncpg.connect(admin)
    await connection.execute(sql)
    await connection.close()


def _fsync(here: Bench) -> float:
    """Of 8 KiB, in the directory of Postgres."""
    file = here.path / "fsync"
    argv = [str(_program("pg_test_fsync")), "-s", "1", "-f", str(file)]
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    file.unlink(missing_ok=True)
    found = re.search(r"fdatasync\s+([\d.]+) ops/sec", told)
    if found is None:
        raise RuntimeError(f"pg_test_fsync told no rate: {told}")
    return float(found[1])


def _pgbench(here: Bench, many: int, clients: int) -> float:
    """Commits a second, each with the rows of so many tasks."""
    script = here.path / "limit.sql"
    data = json.dumps({"payload": payload(1)})
    script.write_text(ROWS.format(asked=NEW.format(data=data, many=many)).replace("\n", " ") + ";\n")
    argv = [str(_program("pgbench")), "-n", "-M", "prepared", "-c", str(clients), "-T", str(int(SECONDS))]
    told = subprocess.run(
        [*argv, "-f", str(script), "-d", here.ours.dsn("postgres")], capture_output=True, text=True, check=False
    )
    found = re.search(r"tps = ([\d.]+)", told.stdout)
    if found is None:
        raise RuntimeError(f"pgbench told no rate: {told.stderr[-600:]}")
    return float(found[1])


def _program(name: str) -> Path:
    return postgres_bin(postgres_user()) / name


async def _unnest(admin: str) -> float:
    data = json.dumps({"payload": payload(1)})
    batches = iter([[uuid4() for _ in range(2_000)] for _ in range(30)])

    async def each(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        statement = await connection.prepare(ROWS.format(asked=GIVEN))
        for ids in batches:
            await statement.fetch(ids[:1_000], ids[1_000:], [data] * 1_000)

    connections = [await asyncpg.connect(admin) for _ in range(CALLERS)]
    begin = time.perf_counter()
    await asyncio.gather(*map(each, connections))
    took = time.perf_counter() - begin
    for connection in connections:
        await connection.close()
    return 30_000 / took


async def _batches(url: str) -> float:
    client = await nats.connect(url)
    stream = LogStream(client, Limits(0, 0.0))
    await stream.delete()
    await stream.create(1, "limits")
    data, now, last, begin = json.dumps(payload(1)).encode(), datetime.now(UTC), 0, time.perf_counter()
    headers = {"ce-id": str(uuid4()), "ce-source": "/bench", "ce-type": "task.queued", "ce-specversion": "1.0"}
    while time.perf_counter() < begin + SECONDS:
        subject = "tasks.v1.default.noop.queued"
        lines = [Line(n, f"{n}", f"{subject}.{n}", headers, data, now) for n in range(last, last + MOST_LINES)]
        await stream.publish(lines, last)
        last += MOST_LINES
    took = time.perf_counter() - begin
    await stream.delete()
    await client.close()
    return last / took


def _empty(port: int) -> float:
    """By the program's own server, to the POSTs of the accept figure."""
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.empty", str(port)], cwd=ROOT)
    try:
        return uvloop.run(_answered(port))
    finally:
        process.terminate()
        process.wait(30)


async def _answered(port: int) -> float:
    await answers(port)
    bodies = (wish(payload(number)) for number in count(1))
    url = f"http://127.0.0.1:{port}/v1/tasks"
    await load(url, {}, bodies, 32, 1.0)
    return (await load(url, {}, bodies, 32, SECONDS)).rate
