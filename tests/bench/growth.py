"""`make bench-growth`: is it as fast when the log is long, with more processes, and after a while?

1. Accept, drain and latency with an empty log and with a long one, in turn, each on servers of its own.
2. One, two and three workers, two relays of which one leads, two API processes.
3. Many minutes under load: the memory of every process, dead rows, and what lies in the outbox."""

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median

import asyncpg
import uvloop

from tests.bench import cpu, record
from tests.bench.__main__ import OURS, ROOT, Run
from tests.bench.contender import Contender
from tests.bench.fill import Grown, fill
from tests.bench.record import payload
from tests.bench.servers import Bench, ours
from tests.bench.table import SHOWN, Told, figures, number

NEEDED = 40 * 10**9  # bytes of free disk
COMPARED = ("accept", "drain", "idle")
SCALED = ("drain", "drain2", "drain3", "relays", "accept", "accept2")
SOAK_RATE, EVERY_S = 200.0, 30.0
DEAD = "SELECT coalesce(sum(n_dead_tup), 0)::bigint FROM pg_stat_user_tables WHERE schemaname = 'postcommit'"


@dataclass(frozen=True, slots=True)
class Sample:
    """How it stands at one moment of the soak."""

    minute: float
    memory: dict[str, float]  # MiB of each process and those that it started
    dead_rows: int
    outbox: int
    late: int  # tasks that were asked for, and have not begun


def compared(empty: Run, full: Run, rounds: int) -> None:
    for part in COMPARED:
        for _ in range(rounds):
            for name, run in (("empty", empty), ("full", full)):
                run.measure(replace(OURS, name=name), part)


def scaled(run: Run, rounds: int) -> None:
    for _ in range(rounds):
        for part in SCALED:
            run.measure(OURS, part)


async def soak(here: Bench, minutes: float) -> list[Sample]:
    """API, relay and worker under an even load; a sample twice a minute."""
    from tests.bench.ours import Ours  # reads its addresses from the environment when it is made

    contender = Ours()
    await contender.reset()
    here.records.unlink(missing_ok=True)
    await contender.open()
    worker = contender.start_worker()
    pids = contender.pids | {"worker": worker.pid, "postgres": here.pids["postgres"], "nats": here.pids["ours"]}
    database = await asyncpg.connect(here.ours.dsn("postgres"))
    try:
        return await _loaded(contender, minutes, partial(_sample, here, database, pids))
    finally:
        await database.close()
        worker.terminate()
        worker.wait(60)
        await contender.close()


async def _loaded(
    contender: Contender, minutes: float, sample: Callable[[float, int], Awaitable[Sample]]
) -> list[Sample]:
    """Raises ExceptionGroup where a task is not taken."""
    begin, asked, samples = time.monotonic(), 0, list[Sample]()
    async with asyncio.TaskGroup() as calls:
        while (now := time.monotonic() - begin) < 60 * minutes:
            while asked < now * SOAK_RATE:
                asked += 1
                calls.create_task(contender.enqueue(payload(asked)))
            if now >= EVERY_S * (len(samples) + 1):
                samples.append(await sample(now / 60, asked))
                print(samples[-1], file=sys.stderr, flush=True)
            await asyncio.sleep(0.005)
    return samples


async def _sample(
    here: Bench, database: "asyncpg.Connection[asyncpg.Record]", pids: dict[str, int], minute: float, asked: int
) -> Sample:
    memory = {name: cpu.memory_mib(pid) for name, pid in pids.items()}
    late = asked - record.count(here.records)
    dead, outbox = await database.fetchval(DEAD), await database.fetchval("SELECT count(*) FROM postcommit.outbox")
    return Sample(minute, memory, dead, outbox, late)


def told(rows: list[Told], scale: list[Told], samples: list[Sample]) -> str:
    """All of it, as text."""
    lines = ["## Empty and full, in turn", "", "| | empty | full | full : empty |", "|---|---|---|---|"] if rows else []
    for part in COMPARED if rows else ():
        found = {one.name: one.median for one in figures(rows, part)}
        ratio = found["full"] / found["empty"]
        share = ratio if SHOWN[part][0] == "rate" else 1 / ratio
        lines.append(f"| {SHOWN[part][1]} | {number(found['empty'])} | {number(found['full'])} | {share:.2f} |")
    lines += ["", "## More processes: tasks/s", "", "| | median | min | max |", "|---|---|---|---|"] if scale else []
    for part in SCALED:
        rates = [row["rate"] for row in scale if row["part"] == part and "rate" in row]
        if rates:
            lines.append(f"| {part} | {number(median(rates))} | {number(min(rates))} | {number(max(rates))} |")
    if samples:
        names = list(samples[0].memory)
        lines += ["", f"## {samples[-1].minute:.0f} minutes at {SOAK_RATE:g} tasks/s: MiB of each process", ""]
        lines += [f"| minute | {' | '.join(names)} | dead rows | outbox | late |", "|---" * (len(names) + 4) + "|"]
        for sample in samples:
            sizes = " | ".join(f"{sample.memory[name]:.0f}" for name in names)
            lines.append(f"| {sample.minute:.1f} | {sizes} | {sample.dead_rows:,} | {sample.outbox} | {sample.late} |")
    return "\n".join(lines)


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m tests.bench.growth", description=__doc__)
    options.add_argument("--events", type=int, default=10_000_000)
    options.add_argument("--tasks", type=int, default=1_000_000, help="that are complete")
    options.add_argument("--open", type=int, default=100_000, help="tasks")
    options.add_argument("--rounds", type=int, default=3, help="of the first two; 0: only the soak")
    options.add_argument("--minutes", type=float, default=20.0, help="of the soak")
    options.add_argument("--json", type=Path)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="postcommit-growth-") as path, ExitStack() as running:
        free = shutil.disk_usage(path).free
        if free < NEEDED:
            print(
                f"Skipped: this needs {NEEDED / 1e9:.0f} GB of free disk, and there are {free / 1e9:.0f}.",
                file=sys.stderr,
            )
            return
        for name in ("empty", "full"):
            (Path(path) / name).mkdir()
        Path(path).chmod(0o755)
        empty, full = (Run(running.enter_context(ours(Path(path) / name)), ROOT) for name in ("empty", "full"))
        begin = time.monotonic()
        request = json.dumps({"payload": payload(1)})
        asyncio.run(fill(full.here.ours.dsn("postgres"), Grown(chosen.events, chosen.tasks, chosen.open), request))
        print(f"Filled in {time.monotonic() - begin:.0f} s.", file=sys.stderr, flush=True)
        compared(empty, full, chosen.rounds)
        rows, empty.rows = [*empty.rows, *full.rows], []
        scaled(empty, chosen.rounds)
        os.environ |= full.here.environ("ours") | {"BENCH_SETTING": "tuned"}
        samples = uvloop.run(soak(full.here, chosen.minutes))
        text = told(rows, empty.rows, samples)
    if chosen.json:
        all_rows = [*rows, *empty.rows, *({"part": "soak", **asdict(sample)} for sample in samples)]
        chosen.json.write_text("".join(json.dumps(row) + "\n" for row in all_rows))
    print(text)


if __name__ == "__main__":
    main()
