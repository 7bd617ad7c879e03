"""The whole service as its user has it: `postcommit up` in processes of its own, asked over HTTP, hit by signals."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import nats
from nats.aio.client import Client as Nats
from nats.errors import Error as NatsError

from adapters.files.local import LocalFiles
from adapters.postgres.database import Database, Unavailable
from infra.check.run import Finding, check
from infra.exits import Away
from tests.waiting import stat, until, until_told

ROOT = Path(__file__).parents[2]
ROLES = ("api", "relay", "worker", "reader")
SERVERS = ("nats", "postgres", "mail")
QUICK = {"POSTCOMMIT_LEASE_S": "3", "POSTCOMMIT_HEARTBEAT_S": "1", "POSTCOMMIT_GRACE_S": "2"}
AWAY = (
    *(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, NatsError, TimeoutError),
    *(Unavailable, Away, httpx.HTTPError),
)


@dataclass(slots=True)
class Running:
    """One `postcommit up`; what is started again on the same home has the same addresses and keys."""

    home: Path
    process: "subprocess.Popen[str]"

    @property
    def told(self) -> dict[str, Any]:
        """run.json as it is now."""
        return dict(json.loads((self.home / "run.json").read_text()))

    def pids(self, name: str) -> list[int]:
        return list(self.told["pids"][name])

    @property
    def role_pids(self) -> dict[int, str]:
        return {pid: name for name in ROLES for pid in self.pids(name)}

    def log(self, name: str) -> str:
        return (self.home / "logs" / f"{name}.log").read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """To the supervisor."""
        self.process.send_signal(number)

    async def killed(self, name: str) -> int:
        """Kill -9 of the first process of that name, as soon as there is one; answers with what was killed."""
        await until(lambda: bool(self.pids(name)), 30)
        pid = self.pids(name)[0]
        os.kill(pid, signal.SIGKILL)
        return pid

    @contextmanager
    def frozen(self, pid: int) -> Iterator[None]:
        """SIGSTOP, and SIGCONT at the end."""
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    @asynccontextmanager
    async def without_nats(self) -> AsyncIterator[None]:
        """NATS is stopped, and let go at the end."""
        self.signal(signal.SIGUSR2)
        await until(lambda: not self.pids("nats"), 20)
        try:
            yield
        finally:
            self.signal(signal.SIGUSR2)
            await until(lambda: bool(self.pids("nats")), 20)

    def client(self, key: str = "operator", timeout: float = 30.0) -> httpx.AsyncClient:
        told = self.told
        return httpx.AsyncClient(
            base_url=told["http"],
            headers={"Authorization": f"Bearer {told['keys'][key]}"},
            timeout=timeout,
            trust_env=False,
            limits=httpx.Limits(max_connections=200),
        )

    @asynccontextmanager
    async def nats(self, user: str = "nats_admin") -> AsyncIterator[Nats]:
        client = await nats.connect(self.told[user], error_cb=_unheard)
        try:
            yield client
        finally:
            await client.close()

    async def sql(self, query: str, *arguments: Any, role: str = "postgres_admin") -> Any:
        """The first value of the first row."""
        connection = await asyncpg.connect(self.told[role])
        try:
            return await connection.fetchval(query, *arguments)
        finally:
            await connection.close()

    async def findings(self) -> list[Finding]:
        """What `postcommit check` finds broken."""
        database = Database(self.told["postgres"], 2, "postcommit check")
        try:
            files = LocalFiles(self.home / "files")
            return [one async for one in check(database, self.told["nats"], files) if one.offenders]
        finally:
            await database.close()

    async def sound(self, patience_s: float = 30.0) -> None:
        """Until every invariant holds, in Postgres and across the stores, and every fact is numbered."""
        found: Any = "nothing was asked"
        deadline = time.monotonic() + patience_s
        while found:
            assert time.monotonic() < deadline, f"These invariants do not hold: {found}"
            try:
                found = await self.findings() or await self.sql("SELECT count(*) FROM postcommit.outbox")
            except AWAY as error:
                found = error or repr(error)

    def stop(self) -> int:
        """End it in good order; answers with the exit code."""
        self.process.terminate()
        return self.process.wait(60)


@contextmanager
def up(home: Path, *options: str, environ: Mapping[str, str] = QUICK) -> Iterator[Running]:
    """`postcommit up` on the directory for as long as the block runs, ready when it begins."""
    process = starting(home, *options, environ=environ)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("postcommit is ready"), f"It did not start: {line}{_tail(home)}"
        yield Running(home, process)
    finally:
        process.terminate()
        process.wait(60)


def starting(home: Path, *options: str, port: int = 0, environ: Mapping[str, str] = QUICK) -> "subprocess.Popen[str]":
    """`postcommit up` without waiting for it; what it says to people goes to talk.log in the directory."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "talk.log").open("a") as talk:
        return subprocess.Popen(
            [sys.executable, "-m", "infra.cli", "up", "--home", str(home), "--port", str(port), *options],
            env=os.environ | environ,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=talk,
            text=True,
        )


async def definite(client: httpx.AsyncClient, path: str, body: Any, key: str, patience_s: float = 60.0) -> Any:
    """POST with an Idempotency-Key until the answer says that it was written; answers with its JSON."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            answer = await client.post(path, json=body, headers={"Idempotency-Key": key})
            if answer.status_code < 500 and answer.status_code != 409:
                assert answer.status_code in (201, 202), answer.text
                return answer.json()
        except httpx.HTTPError:
            pass
        assert time.monotonic() < deadline, f"There was no definite answer for {key}."
        await asyncio.sleep(0.05)


async def probe(client: httpx.AsyncClient, **request: Any) -> str:
    """Request one probe; answers with its id."""
    answer = await client.post("/v1/tasks", json={"kind": "probe", "request": request})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def probes(client: httpx.AsyncClient, requests: Sequence[Mapping[str, Any]]) -> list[str]:
    """Request many probes at once; answers with their ids."""
    answer = await client.post("/v1/tasks/batch", json=[{"kind": "probe", "request": one} for one in requests])
    assert answer.status_code == 202, answer.text
    return [str(id) for id in answer.json()["tasks"]]


async def see(client: httpx.AsyncClient, id: str, wait: int = 0) -> dict[str, Any]:
    return dict((await client.get(f"/v1/tasks/{id}", params={"wait": wait})).raise_for_status().json())


async def history(client: httpx.AsyncClient, id: str) -> dict[str, Any]:
    return dict((await client.get(f"/v1/tasks/{id}/history")).raise_for_status().json())


async def ended(client: httpx.AsyncClient, ids: Sequence[str], patience_s: float = 60.0) -> list[dict[str, Any]]:
    """The tasks, once all of them have ended; whatever is away meanwhile is asked again."""
    deadline = time.monotonic() + patience_s

    async def one(id: str) -> dict[str, Any]:
        task: dict[str, Any] = {}
        while task.get("finished_at") is None:
            assert time.monotonic() < deadline, f"It did not end in time: {task}"
            try:
                task = await see(client, id, wait=1)
            except httpx.HTTPError:
                await asyncio.sleep(0.1)
        return task

    some = asyncio.Semaphore(20)

    async def bounded(id: str) -> dict[str, Any]:
        async with some:
            return await one(id)

    return list(await asyncio.gather(*(bounded(id) for id in ids)))


async def balance(client: httpx.AsyncClient) -> dict[str, int]:
    return dict((await client.get("/v1/balance")).raise_for_status().json())


async def balanced(client: httpx.AsyncClient, patience_s: float = 30.0) -> dict[str, int]:
    """The balance, once nothing is open; it must never have a difference."""
    found: dict[str, int] = {"open": -1}

    async def closed() -> bool:
        found.update(await balance(client))
        assert found["difference"] == 0, found
        return found["open"] == 0

    await until_told(closed, patience_s)
    return found


def cpu_s(pid: int) -> float:
    """What the process has used of the processors; 0 where it is gone."""
    told = stat(pid)
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK") if told else 0.0


def _tail(home: Path) -> str:
    return "".join(f"\n{path.name}: {path.read_text()[-800:]}" for path in [home / "talk.log"] if path.exists())


async def _unheard(_: Exception) -> None:
    """Connections that break are the subject here."""
