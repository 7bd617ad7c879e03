"""`python -m tests.bench.drive MODULE PART…`: measures parts of one contender, and prints each as a line of JSON.

It runs in the contender's own environment, with nothing but the standard library besides; `__main__` starts it, for
every contender in turn. Of several parts, which are those of one worker, the worker is the same. The parts:

drain, drain2   tasks a second by one or two worker processes, from their first task until every end is stored;
                drain3 and, for postcommit with a second relay, relays are parts of `make bench-growth`
idle            from the call to the handler's first line, one task every 20 ms
open            the same at 300 tasks a second, however long the calls take
sustained       tasks a second from the call to the handler, in and out at once, with at most 500 between them
bulk            tasks a second that are taken in batches of 1,000"""

import asyncio
import importlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import cpu, record
from tests.bench.contender import TUNED, Contender

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
WARM = 5  # tasks after which a worker is warm
IDLE, IDLE_EVERY_S = 150, 0.02
OPEN, OPEN_RATE = 1_200, 300.0
SUSTAINED_S, UNDER_WAY = 6.0, 500
BULKS, BULK, BULKS_AT_ONCE = 20, 1_000, 4
WORKERS = {"drain2": 2, "drain3": 3}
Told = dict[str, Any]


@dataclass(slots=True)
class Drive:
    contender: Contender
    records: Path
    logs: Path
    servers: Sequence[int]  # their process ids: their time counts, too
    number: int = 0  # of the task that was asked for last

    async def measure(self, *parts: str) -> list[Told]:
        await self.contender.reset()
        self.records.unlink(missing_ok=True)  # now, as what was left open may have begun meanwhile
        await self.contender.open()
        try:
            match parts:
                case ["drain" | "drain2" | "drain3" | "relays" as part]:
                    return [await self._drain(WORKERS.get(part, 1))]
                case ["bulk"]:
                    return [await self._bulk()]
                case _:
                    with self._workers(1):
                        await self._warm()
                        return [await getattr(self, f"_{part}")() for part in parts]
        finally:
            await self.contender.close()

    # The parts.

    async def _drain(self, processes: int) -> Told:
        many = self.contender.drained
        await self.contender.fill([self._next() for _ in range(many)])
        spent = self._spent()
        with self._workers(processes):
            await self._until(lambda: record.count(self.records) >= many)
            ended = await self._ended(many)
            spent = self._spent() - spent
        starts = record.read(self.records)
        begin = max(min(one.at_ns for one in starts if one.pid == pid) for pid in {one.pid for one in starts})
        end = ended or max(one.at_ns for one in starts)
        counted = sum(one.at_ns >= begin for one in starts)
        return self._counted(starts, many) | {
            "rate": counted / ((end - begin) / 1e9),
            "cpu_ms": 1e3 * spent / many,
            "processes": len({one.pid for one in starts}),
        }

    async def _bulk(self) -> Told:
        batches = iter([[self._next() for _ in range(BULK)] for _ in range(BULKS)])

        async def each() -> None:
            for batch in batches:
                await self.contender.enqueue_many(batch)

        spent, begin = self._spent(), time.perf_counter()
        await asyncio.gather(*(each() for _ in range(BULKS_AT_ONCE)))
        took = time.perf_counter() - begin
        return {"rate": BULKS * BULK / took, "cpu_ms": 1e3 * (self._spent() - spent) / BULKS / BULK}

    async def _idle(self) -> Told:
        first = self.number + 1
        for _ in range(IDLE):
            await self._ask(self._next())
            await asyncio.sleep(IDLE_EVERY_S)
        return await self._latencies(first, IDLE)

    async def _open(self) -> Told:
        """Asked for on time, whether those before have been taken or not; a client that blocks does what it can."""
        first, begin, asked = self.number + 1, time.perf_counter(), set()
        for nth in range(OPEN):
            await asyncio.sleep(max(begin + nth / OPEN_RATE - time.perf_counter(), 0))
            one = asyncio.ensure_future(self._ask(self._next()))
            asked.add(one)
            one.add_done_callback(asked.discard)
        await asyncio.gather(*asked)
        took = time.perf_counter() - begin
        return await self._latencies(first, OPEN) | {"asked_rate": OPEN / took}

    async def _sustained(self) -> Told:
        first, before = self.number + 1, record.count(self.records)
        spent, begin = self._spent(), time.perf_counter()
        end = begin + SUSTAINED_S

        def under_way() -> int:
            return self.number + 1 - first - (record.count(self.records) - before)

        async def each() -> None:
            while time.perf_counter() < end:
                if under_way() > UNDER_WAY:
                    await asyncio.sleep(0.002)
                else:
                    await self._ask(self._next())

        await asyncio.gather(*(each() for _ in range(self.contender.at_once)))
        done, took = record.count(self.records) - before, time.perf_counter() - begin
        asked = self.number + 1 - first
        await self._until(lambda: record.count(self.records) - before >= asked)
        spent = self._spent() - spent
        found = await self._latencies(first, asked)
        return found | {"rate": done / took, "cpu_ms": 1e3 * spent / asked}

    # Asking, watching.

    def _next(self) -> dict[str, Any]:
        self.number += 1
        return record.payload(self.number)

    async def _ask(self, payload: dict[str, Any]) -> None:
        if self.contender.blocks:
            await asyncio.to_thread(self.contender.enqueue_now, payload)
        else:
            await self.contender.enqueue(payload)

    async def _warm(self) -> None:
        """Until the workers take tasks."""
        for _ in range(WARM):
            seen = record.count(self.records)
            await self._ask(self._next())
            await self._until(lambda seen=seen: record.count(self.records) > seen)
        await asyncio.sleep(1.0)

    async def _latencies(self, first: int, many: int) -> Told:
        await self._until(lambda: len(self._starts(first)) >= many, 10.0)
        starts = self._starts(first)
        waits = sorted((one.at_ns - one.asked_ns) / 1e6 for one in starts)
        return self._counted(starts, many) | {
            "p50_ms": statistics.median(waits),
            "p99_ms": waits[round(0.99 * (len(waits) - 1))],
            "max_ms": waits[-1],
        }

    def _starts(self, first: int) -> Sequence[record.Start]:
        return [one for one in record.read(self.records) if one.id >= first]

    def _counted(self, starts: Sequence[record.Start], many: int) -> Told:
        distinct = len({one.id for one in starts})
        return {"asked": many, "lost": many - distinct, "repeated": len(starts) - distinct}

    def _spent(self) -> float:
        """Seconds of processor time: the servers, this process, which enqueues, and all that it started."""
        return cpu.seconds([*self.servers, os.getpid()])

    async def _ended(self, many: int) -> int | None:
        """When the queue told that every end is stored; None where it keeps none."""
        deadline = time.monotonic() + PATIENCE_S
        while (found := await self.contender.finished()) is not None:
            if found >= many:
                return time.monotonic_ns()
            if time.monotonic() > deadline:
                raise RuntimeError(f"After {PATIENCE_S:g} s {found} of {many} ends are stored.")
            await asyncio.sleep(0.01)
        return None

    async def _until(self, holds: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        """What is missing then is told as lost."""
        end = time.monotonic() + patience_s
        while not holds() and time.monotonic() < end:
            await asyncio.sleep(0.01)

    @contextmanager
    def _workers(self, processes: int) -> Iterator[None]:
        started = []
        env = os.environ | self.contender.environ
        try:
            for number, program in enumerate(self.contender.workers(processes)):
                with (self.logs / f"{type(self.contender).__name__}-{number}.log").open("ab") as log:
                    started.append(
                        subprocess.Popen(program, cwd=ROOT, env=env, stdout=log, stderr=log, start_new_session=True)
                    )
            yield
        finally:
            for process in started:
                _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """SIGTERM to the program and what it started; SIGKILL to what is left of them."""
    for number, patience_s in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(process.pid, number)
            process.wait(patience_s)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def main(module: str, *parts: str) -> None:
    found: type[Contender] = importlib.import_module(f"tests.bench.{module}").CONTENDER
    servers = json.loads(os.environ["BENCH_SERVERS"])
    drive = Drive(found(), Path(os.environ[record.FILE]), Path(os.environ["BENCH_LOGS"]), servers)
    runner: Callable[..., Any] = asyncio.run
    if found.loop == "uvloop":
        import uvloop

        runner = uvloop.run
    for told in runner(drive.measure(*parts)):
        print(json.dumps(told | {"setting": found.said["tuned" if TUNED else "default"]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
