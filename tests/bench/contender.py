"""What a queue offers to be measured: one file in `peers/` each, and `ours.py`.

Peers run in environments of their own, so nothing but the standard library is imported here."""

import asyncio
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent
TUNED = os.environ.get("BENCH_SETTING", "tuned") == "tuned"
REDIS = os.environ.get("BENCH_REDIS", "")  # redis://127.0.0.1:PORT
NATS = os.environ.get("BENCH_NATS", "")
POSTGRES = os.environ.get("BENCH_POSTGRES", "")  # a superuser, in a database for peers only


class Contender:
    """One queue, as its users call it."""

    said: dict[str, str] = {}  # what the settings "default" and "tuned" are
    drained = 10_000  # tasks that one drain takes
    at_once = 50  # callers at once
    environ: dict[str, str] = {}  # of its workers, besides this process's own
    blocks = False  # whether the client blocks: then its calls run in threads
    loop = "uvloop" if TUNED else "asyncio"

    async def reset(self) -> None:
        """Nothing is queued, and no end is kept."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def enqueue(self, payload: dict[str, Any]) -> None:
        raise NotImplementedError

    def enqueue_now(self, payload: dict[str, Any]) -> None:
        """The same, for a client that blocks."""
        raise NotImplementedError

    async def enqueue_many(self, payloads: Sequence[dict[str, Any]]) -> None:
        """In one call, where the queue has one."""
        raise NotImplementedError

    async def fill(self, payloads: Sequence[dict[str, Any]]) -> None:
        """Enqueue all of them, in whatever way is quick; that is not measured."""
        left, lock = iter(payloads), threading.Lock()

        def each_now() -> None:
            while True:
                with lock:
                    payload = next(left, None)
                if payload is None:
                    return
                self.enqueue_now(payload)

        async def each() -> None:
            for payload in left:
                await self.enqueue(payload)

        callers = [asyncio.to_thread(each_now) for _ in range(8)] if self.blocks else [each() for _ in range(50)]
        await asyncio.gather(*callers)

    async def finished(self) -> int | None:
        """How many tasks have their end stored, as the queue itself tells; None where it keeps none."""
        raise NotImplementedError

    def workers(self, processes: int) -> Sequence[Sequence[str]]:
        """The programs to start, so that so many worker processes run."""
        raise NotImplementedError


def in_batches(payloads: Sequence[dict[str, Any]], size: int = 500) -> Sequence[Sequence[dict[str, Any]]]:
    return [payloads[begin : begin + size] for begin in range(0, len(payloads), size)]


def program(module: str) -> list[str]:
    """A peer's own worker program."""
    return [sys.executable, "-m", f"tests.bench.peers.{module}"]
