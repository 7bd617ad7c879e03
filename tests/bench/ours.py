"""postcommit: tasks come in by HTTP, one API process and one relay take and number them; its log keeps the history, so
nothing is reset between two measurements.

Its servers run already, with schema and keys: see `servers.py`."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg

from infra.clock import new_id
from tests.bench.contender import TUNED, Contender, in_batches
from tests.bench.load import Callers

ROOT = Path(__file__).parents[2]
RELAYS = int(os.environ.get("BENCH_RELAYS", "1"))
BATCH = 1_000  # tasks, the most that the API takes at once
Process = subprocess.Popen[bytes]


class Ours(Contender):
    said = {"default": "16 slots", "tuned": "200 slots"}
    drained = 20_000

    def __init__(self) -> None:
        self._told: dict[str, Any] = json.loads(os.environ["BENCH_OURS"])  # addresses and keys
        self._roles: list[Process] = []
        self.environ = self._environment("worker") | ({"POSTCOMMIT_SLOTS": "200"} if TUNED else {})

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self._told['port']}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._told['key']}"}

    async def reset(self) -> None:
        """What an earlier measurement left open is worked off; without a relay it is in nobody's way."""
        if not RELAYS:
            return
        database = await asyncpg.connect(self._told["admin"])
        if await database.fetchval(OPEN):
            self._start("relay", "worker")
            while await database.fetchval(OPEN):
                await asyncio.sleep(0.1)
            self._stop()
        await database.close()

    async def open(self) -> None:
        self._start("api", *["relay"] * RELAYS)
        await answers(self._told["port"])
        self._first = new_id()
        self._singles = Callers(f"{self.http}/v1/tasks", self.headers)
        self._batches = Callers(f"{self.http}/v1/tasks/batch", self.headers)
        self._database = await asyncpg.connect(self._told["admin"])

    async def close(self) -> None:
        self._singles.close()
        self._batches.close()
        await self._database.close()
        self._stop()

    def _stop(self) -> None:
        for process in self._roles:
            process.send_signal(signal.SIGTERM)
        for process in self._roles:
            process.wait(60)
        self._roles.clear()

    async def enqueue(self, payload: dict[str, Any]) -> None:
        await self._singles.post(wish(payload))

    async def enqueue_many(self, payloads: Sequence[dict[str, Any]]) -> None:
        await self._batches.post(b"[" + b",".join(map(wish, payloads)) + b"]")

    async def fill(self, payloads: Sequence[dict[str, Any]]) -> None:
        """All of them, numbered and mirrored."""
        for some in in_batches(payloads, BATCH):
            await self.enqueue_many(some)
        await numbered(self._database)

    async def settle(self) -> None:
        """What was taken without a relay is numbered and mirrored; tasks may stay open."""
        database = await asyncpg.connect(self._told["admin"])
        self._start("relay")
        try:
            await numbered(database)
        finally:
            self._stop()
            await database.close()

    async def finished(self) -> int:
        return int(await self._database.fetchval(FINISHED, self._first))

    def workers(self, processes: int) -> Sequence[Sequence[str]]:
        return [program("worker")] * processes

    @property
    def pids(self) -> dict[str, int]:
        """The processes that are open, by what they are."""
        return {name: process.pid for name, process in zip(("api", "relay"), self._roles, strict=True)}

    def start_worker(self) -> Process:
        """One that runs until it is ended by whoever started it."""
        return subprocess.Popen(program("worker"), cwd=ROOT, env={**os.environ, **self.environ})

    def _start(self, *roles: str) -> None:
        for role in roles:
            with (Path(self._told["logs"]) / f"{role}.log").open("ab") as log:
                env = self._environment(role)
                self._roles.append(subprocess.Popen(program(role), cwd=ROOT, env=env, stdout=log, stderr=log))

    def _environment(self, role: str) -> dict[str, str]:
        return {**os.environ, "POSTCOMMIT_NATS": self._told["nats"][role]}


def wish(payload: dict[str, Any]) -> bytes:
    """The body that asks for a no-op task."""
    return json.dumps({"kind": "noop", "request": {"payload": payload}}).encode()


def program(role: str) -> list[str]:
    """A role of the program that also knows the bench's kind."""
    return [sys.executable, "-m", "tests.bench.role", role]


async def numbered(database: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Until the relay has nothing left to do."""
    while await database.fetchval(BEHIND):
        await asyncio.sleep(0.02)


async def answers(port: int) -> None:
    """Until somebody listens there."""
    for _ in range(1_000):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.close()
        return
    raise RuntimeError(f"Nobody listens at port {port}.")


CONTENDER = Ours
OPEN = """
SELECT EXISTS (SELECT FROM postcommit.tasks WHERE status = 'queued')
    OR EXISTS (SELECT FROM postcommit.tasks WHERE status = 'in_progress')
"""
FINISHED = "SELECT count(*) FROM postcommit.tasks WHERE id > $1 AND status = 'complete'"
BEHIND = """
SELECT EXISTS (SELECT FROM postcommit.outbox)
    OR position < (SELECT max(position) FROM postcommit.ledger) FROM postcommit.cursors WHERE name = 'mirror'
"""

if __name__ == "__main__":
    asyncio.run(Ours().settle())
