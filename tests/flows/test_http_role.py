"""Does the API behave as a process: while Postgres is away, and when it is told to end?"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from httpx import AsyncClient, HTTPError

from adapters.postgres import readers
from adapters.postgres.database import Database
from adapters.postgres.leadership import Leadership
from adapters.postgres.ledger import head
from adapters.postgres.log import PostgresLog
from infra.embedded.home import free_port
from infra.embedded.servers import Servers
from infra.roles.api import PROBLEMS, checks
from tests import making
from tests.flows.test_http_tasks import PROBE, assert_problem, requested
from tests.waiting import until_told

ROOT = Path(__file__).parents[2]
Process = asyncio.subprocess.Process


async def start(dsn: str, port: int) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "infra.cli", "api"),
        cwd=ROOT,
        env=os.environ | {"POSTCOMMIT_POSTGRES": dsn, "POSTCOMMIT_PORT": str(port)},
        stderr=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def serving(dsn: str) -> AsyncIterator[tuple[Process, AsyncClient]]:
    """The API as a process of its own, without NATS."""
    database, port = Database(dsn, 1), free_port()
    await making.key(database, "operator", "operator", "secret")
    await database.close()
    process = await start(dsn, port)
    try:
        key = {"Authorization": "Bearer secret"}
        async with AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=key, timeout=30) as client:
            await wait_for(client, 200)
            yield process, client
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def wait_for(http: AsyncClient, status: int, patience_s: float = 20) -> None:
    async with asyncio.timeout(patience_s):
        while True:
            try:
                if (await http.get("/readyz")).status_code == status:
                    return
            except HTTPError:
                pass
            await asyncio.sleep(0.05)


async def test_at_the_end_streams_and_waits_end_and_the_exit_code_is_0(dsn: Callable[[str], str]) -> None:
    async with serving(dsn("postcommit")) as (process, http):
        task = await requested(http)
        waiting = asyncio.create_task(http.get(task["links"]["self"] + "?wait=60"))
        async with http.stream("GET", "/v1/events/stream?after=0") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            assert (stream.headers["x-accel-buffering"], stream.headers["cache-control"]) == ("no", "no-store")
            chunks = stream.aiter_bytes()
            assert b"id: 0\n\n" in await anext(chunks)
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            rest = b"".join([chunk async for chunk in chunks])
            assert rest in (b"", b": ping\n\n")
        assert (await waiting).json()["status"] == "queued"
        assert await asyncio.wait_for(process.wait(), 10) == 0
        assert time.monotonic() - began < 10


async def test_without_nats_the_api_is_degraded_and_takes_everything(dsn: Callable[[str], str]) -> None:
    async with serving(dsn("postcommit")) as (_, http):
        told = (await http.get("/readyz", headers={"Authorization": ""})).json()
        assert (told["status"], told["checks"]["nats"]) == ("degraded", "failed")
        await requested(http)


async def test_who_stands_still_is_named(dsn: Callable[[str], str]) -> None:
    address = dsn("postcommit")
    database = Database(address, 2)
    looks = checks(database, lambda: True)

    async def failed() -> set[str]:
        return {name for name, look in looks.items() if not await look()}

    log, now = PostgresLog(database), datetime.now(UTC)
    async with await Leadership.open(address) as leadership:
        await leadership.sequence(100)
        async with database.driver() as connection:
            await connection.execute(f"UPDATE postcommit.cursors SET position = {await head(database)}")
        assert await failed() == {"relay"}, "nobody leads yet"
        assert await leadership.lead() and await failed() == set()
        await log.append(making.new_task(at=now - timedelta(minutes=1))[1])
        assert await failed() == {"relay"}, "it does not number what was written"
        await leadership.sequence(10)
        assert await failed() == {"mirror", "readers"}
        await readers.step(database, "audit")
        assert await failed() == {"mirror", "readers"}, "one of them is not there yet"
        for name in ("balance", "analytics", "files", "made", "search"):
            await readers.step(database, name)
        async with database.driver() as connection:
            await connection.execute(
                f"UPDATE postcommit.cursors SET position = {await head(database)} WHERE name = 'release'"
            )
        assert await failed() == {"mirror"}
        await log.append(making.new_task(at=now)[1])
        await leadership.sequence(10)
        assert await failed() == {"mirror"}, "a reader has its time"
    await database.close()


async def test_while_postgres_is_away_the_api_says_so(embedded: Servers, dsn: Callable[[str], str]) -> None:
    async with serving(dsn("postcommit")) as (_, http):
        assert "\npostcommit_postgres_up 1.0\n" in (await http.get("/metrics")).text
        embedded.postgres.kill()
        try:
            reads = [("GET", f"/v1/{path}") for path in ("tasks", "balance", "events", "audit")]
            for method, path in [("POST", "/v1/tasks"), *reads]:
                answer = await http.request(method, path, json=PROBE if method == "POST" else None)
                assert_problem(answer, 503, "unavailable")
                assert answer.headers["retry-after"] == "1"
                assert ("Idempotency-Key" in answer.json()["detail"]) == (method == "POST")
            assert (await http.get("/livez")).status_code == 200
            told = await http.get("/readyz")
            assert (told.status_code, told.json()["status"]) == (503, "unready")
            await until_told(lambda: scraped(http, "\npostcommit_postgres_up 0.0\n"))
            assert "\npostcommit_outbox_depth " not in (await http.get("/metrics")).text, "old numbers mislead"
        finally:
            embedded.postgres.start()
        await wait_for(http, 200)
        await requested(http)


async def scraped(http: AsyncClient, words: str) -> bool:
    return words in (await http.get("/metrics")).raise_for_status().text


async def test_a_frozen_postgres_is_noticed_within_a_second(embedded: Servers, dsn: Callable[[str], str]) -> None:
    async with serving(dsn("postcommit")) as (_, http):
        backends = await asyncpg.connect(embedded.dsn("postgres"))
        pids = await backends.fetch("SELECT pid FROM pg_stat_activity WHERE application_name = 'postcommit api health'")
        await backends.close()
        frozen = [embedded.postgres.pid, *(row["pid"] for row in pids)]
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            for _ in range(3):
                began = time.monotonic()
                assert (await http.get("/readyz")).status_code == 503
                assert time.monotonic() - began < 1.5
        finally:
            for pid in reversed(frozen):
                os.kill(pid, signal.SIGCONT)
        await wait_for(http, 200)


@pytest.mark.parametrize("reason", ["port", "schema"])
async def test_what_cannot_start_says_why(embedded: Servers, dsn: Callable[[str], str], reason: str) -> None:
    if reason == "port":
        process = await start(dsn("postcommit"), embedded.home.ports["nats"])
        wanted = f"The API cannot listen at 127.0.0.1:{embedded.home.ports['nats']}: Address already in use.\n"
    else:
        process = await start(embedded.dsn("postcommit", "postgres"), free_port())
        wanted = "The database has no postcommit schema: run `postcommit migrate` first.\n"
    _, told = await process.communicate()
    assert (process.returncode, told.decode()) == (78, wanted)


@pytest.mark.parametrize(
    "error",
    [asyncpg.PostgresIOError, asyncpg.UndefinedFileError, asyncpg.DiskFullError, asyncpg.QueryCanceledError],
)
def test_what_the_server_of_postgres_suffers_from_is_no_fault_of_the_request(error: type[Exception]) -> None:
    assert next(PROBLEMS[kind] for kind in error.__mro__ if kind in PROBLEMS) == "unavailable"
