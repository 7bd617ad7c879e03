"""`make bench`: postcommit beside other task queues, in one run, every contender in turn.

This machine drifts by a factor of two within an hour, so only figures of one run are compared: look at the ratios."""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import uvloop

from tests.bench import cpu, limits, table
from tests.bench.load import Load, Refused, load
from tests.bench.ours import answers, program, wish
from tests.bench.record import payload
from tests.bench.servers import Bench, bench, free_port

ROOT = Path(__file__).parents[2]
CONNECTIONS = 32
LOAD_S = 4.0
MORE = 2  # rounds of latencies
PATIENCE_S = 240
Told = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Entrant:
    """A contender on a backend. `venv` is the folder of its environment, empty for our own."""

    name: str
    module: str
    backend: str
    venv: str = "peers"
    tuned: bool = True


OURS = Entrant("postcommit", "ours", "ours", "")
FEW = (
    OURS,
    Entrant("PgQueuer", "peers.with_pgqueuer", "postgres"),
    Entrant("SAQ", "peers.with_saq", "redis"),
    Entrant("ARQ", "peers.with_arq", "redis", "arq"),
    Entrant("Celery", "peers.with_celery", "redis"),
)
OTHERS = (
    Entrant("Dramatiq", "peers.with_dramatiq", "redis"),
    Entrant("Huey", "peers.with_huey", "redis"),
    Entrant("taskiq-nats", "peers.with_taskiq", "nats"),
    Entrant("FastStream bare", "peers.with_faststream", "nats"),
    Entrant("faststream-outbox", "peers.with_outbox", "postgres"),
    Entrant("Procrastinate", "peers.with_procrastinate", "postgres"),
    Entrant("DBOS", "peers.with_dbos", "postgres"),
)
DURABLE = tuple(
    replace(one, name=f"{one.name} (always synced)", backend=f"{one.backend} always")
    for one in (*FEW, *OTHERS)
    if one.backend in ("redis", "nats")
)
PLAIN = tuple(replace(one, name=f"{one.name} (as it comes)", tuned=False) for one in (*FEW, *OTHERS))
APPS = (
    OURS,
    Entrant("FastAPI BackgroundTasks", "background", "postgres"),
    Entrant("FastAPI + outbox by hand", "outbox", "postgres"),
    Entrant("FastAPI + ARQ", "with_arq", "redis", "arq"),
    Entrant("FastAPI + Celery", "with_celery", "redis"),
)
MORE_APPS = (
    Entrant("FastAPI + one INSERT", "insert", "postgres"),
    Entrant("FastAPI + PgQueuer in one transaction", "pgqueuer", "postgres"),
    Entrant("FastAPI + SAQ", "with_saq", "redis"),
    Entrant("FastAPI + taskiq-nats", "with_taskiq", "nats"),
    Entrant("FastAPI + Procrastinate", "with_procrastinate", "postgres"),
    Entrant("FastAPI + faststream-outbox", "with_outbox", "postgres"),
    Entrant("FastAPI + DBOS", "with_dbos", "postgres"),
)
LATENCIES = ("idle", "open")
WORKED = (*LATENCIES, "sustained")  # by one worker, which is the same for all of them
RELAYS = {"relays": 2, "bulk": 0}  # of ours; one for all else. To accept takes none, in batches or one by one
PARTS = ("limits", "drain", "drain2", "idle", "open", "sustained", "accept", "bulk", "replay")
BULK = ("postcommit", "PgQueuer", "faststream-outbox", "Procrastinate")  # those that take many tasks in one call


@dataclass(slots=True)
class Run:
    here: Bench
    venvs: Path
    rows: list[Told] = field(default_factory=list)

    def measure(self, entrant: Entrant, *parts: str) -> None:
        """One part, or several for which the contender's worker is the same."""
        if parts == ("limits",):
            self._tell({"part": "limits", "name": name, "rate": rate} for name, rate in limits.measured(self.here))
            return
        begin = time.monotonic()
        try:
            told = self._told(entrant, parts)
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            told = [{"failed": str(error)} for _ in parts]
        took = {"seconds": round((time.monotonic() - begin) / len(parts), 1)}
        self._tell({"part": part, **asdict(entrant), **one, **took} for part, one in zip(parts, told, strict=True))

    def _tell(self, rows: Iterable[Told]) -> None:
        for row in rows:
            self.rows.append(row)
            print(table.line(row), file=sys.stderr, flush=True)

    def _told(self, entrant: Entrant, parts: Sequence[str]) -> list[Told]:
        match parts:
            case ["accept" | "accept2" as part]:
                return [self._accept(entrant, 2 if part == "accept2" else 1)]
            case ["replay"]:
                argv = [sys.executable, "-m", "tests.bench.replay"]
                return [json.loads(subprocess.check_output(argv, cwd=ROOT, env=self._environ(entrant)))]
            case _:
                return self._driven(entrant, parts)

    def check(self) -> int:
        """`postcommit check` of all that this run has left in our log; 0 where every invariant holds."""
        env = self._environ(OURS)
        subprocess.run([sys.executable, "-m", "tests.bench.ours"], cwd=ROOT, env=env, check=True, timeout=PATIENCE_S)
        env |= {"POSTCOMMIT_NATS": self.here.ours.nats_url("admin")}
        return subprocess.run(program("check"), cwd=ROOT, env=env).returncode

    def _driven(self, entrant: Entrant, parts: Sequence[str]) -> list[Told]:
        """In the contender's own environment."""
        argv = [self._python(entrant), "-m", "tests.bench.drive", entrant.module, *parts]
        with (self.here.path / "drive.log").open("ab") as log:
            env = self._environ(entrant) | {"BENCH_RELAYS": str(RELAYS.get(parts[0], 1))}
            found = subprocess.run(argv, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=log, timeout=PATIENCE_S)
        if found.returncode:
            raise RuntimeError((self.here.path / "drive.log").read_text()[-600:])
        return [json.loads(line) for line in found.stdout.splitlines()]

    def _accept(self, entrant: Entrant, processes: int = 1) -> Told:
        """POSTs over 32 connections to API processes, nothing else of the contender running."""
        serving = {}
        try:
            for port in [int(self.here.told["port"]), *(free_port() for _ in range(processes - 1))]:
                serving[port] = self._api(entrant, port)
            return uvloop.run(self._loaded(entrant, {port: process.pid for port, process in serving.items()}))
        except Refused as error:
            raise RuntimeError(f"{error}\n{(self.here.path / 'api.log').read_text()[-2_000:]}") from error
        finally:
            for process in serving.values():
                process.terminate()
                process.wait(30)

    def _api(self, entrant: Entrant, port: int) -> "subprocess.Popen[bytes]":
        ours = entrant.backend == OURS.backend
        argv = program("api") if ours else [self._python(entrant), "-m", "tests.bench.peers.apps", str(port)]
        env = self._environ(entrant) | {"POSTCOMMIT_PORT": str(port)}
        with (self.here.path / "api.log").open("ab") as log:
            return subprocess.Popen(argv, cwd=ROOT, env=env, stdout=log, stderr=log)

    async def _loaded(self, entrant: Entrant, serving: Mapping[int, int]) -> Told:
        """`serving` are the process ids by their ports."""
        for port in serving:
            await answers(port)
        ours, numbers = entrant.backend == OURS.backend, count(1)
        path = "/v1/tasks" if ours else "/tasks"
        headers = {"Authorization": f"Bearer {self.here.told['key']}"} if ours else {}
        write = wish if ours else lambda payload: json.dumps(payload).encode()
        bodies: Iterator[bytes] = (write(payload(number)) for number in numbers)

        async def loaded(seconds: float) -> list[Load]:
            urls, each = [f"http://127.0.0.1:{port}{path}" for port in serving], CONNECTIONS // len(serving)
            return await asyncio.gather(*(load(url, headers, bodies, each, seconds) for url in urls))

        await loaded(1.0)
        counted = [*self.here.serving(entrant.backend), *serving.values()]
        spent = cpu.seconds(counted)
        found = await loaded(LOAD_S)
        waits = sorted(1e3 * wait for one in found for wait in one.latencies_s)
        return {
            "rate": sum(one.rate for one in found),
            "cpu_ms": 1e3 * (cpu.seconds(counted) - spent) / len(waits),
            "p50_ms": waits[len(waits) // 2],
            "p99_ms": waits[int(0.99 * len(waits))],
        }

    def _python(self, entrant: Entrant) -> str:
        return str(self.venvs / entrant.venv / "bin/python") if entrant.venv else sys.executable

    def _environ(self, entrant: Entrant) -> dict[str, str]:
        chosen = {"BENCH_SETTING": "tuned" if entrant.tuned else "default", "BENCH_APP": entrant.module}
        return {**os.environ, **self.here.environ(entrant.backend), **chosen}


def plan(parts: Sequence[str], rounds: int, all: bool) -> Iterator[tuple[Entrant, Sequence[str]]]:
    """Every contender in turn, round by round, so that all see the same weather. Latencies are measured more often."""
    queues = (*FEW, *OTHERS, *DURABLE, *PLAIN) if all else FEW
    apps = (*APPS, *MORE_APPS) if all else APPS
    those = {"accept": apps, "bulk": [one for one in queues if one.name in BULK]}
    those |= dict.fromkeys(("limits", "replay"), (OURS,))
    grouped = {parts_of_one_worker(parts) if part in WORKED else (part,): None for part in parts}
    for group in grouped:
        latencies = [part for part in group if part in LATENCIES]
        for round in range(rounds + MORE if latencies and rounds > 1 else rounds):
            for entrant in those.get(group[0], queues):
                yield entrant, group if round < rounds else latencies


def parts_of_one_worker(parts: Sequence[str]) -> tuple[str, ...]:
    return tuple(part for part in parts if part in WORKED)


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--parts", default=",".join(PARTS))
    options.add_argument("--all", action="store_true", help="every contender, also as it comes, and always synced")
    options.add_argument("--only", default="", help="names of contenders, with commas between them")
    options.add_argument("--venvs", type=Path, default=ROOT / ".bench")
    options.add_argument("--json", type=Path, help="the file to write every measurement to, a line each")
    chosen = options.parse_args()
    only = [name for name in chosen.only.split(",") if name]
    with tempfile.TemporaryDirectory(prefix="postcommit-bench-") as path, bench(Path(path)) as here:
        run = Run(here, chosen.venvs.resolve())
        for entrant, parts in plan(chosen.parts.split(","), chosen.rounds, chosen.all):
            if entrant.backend not in {"ours", *here.urls}:
                print(f"{entrant.name} is skipped: there is no redis-server here.", file=sys.stderr)
            elif not only or entrant.name in only:
                run.measure(entrant, *parts)
        unsound = run.check() if OURS.name in only or not only else 0
    if chosen.json:
        chosen.json.write_text("".join(json.dumps(row) + "\n" for row in run.rows))
    print(table.table(run.rows))
    sys.exit(unsound or any("failed" in row for row in run.rows))


if __name__ == "__main__":
    main()
