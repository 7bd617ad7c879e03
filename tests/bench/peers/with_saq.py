"""SAQ: Redis, results kept."""

import logging
from collections.abc import Sequence
from typing import Any

from saq import Queue
from saq.worker import Worker

from tests.bench.contender import BIN, REDIS, TUNED, Contender, program
from tests.bench.record import began

queue = Queue.from_url(f"{REDIS}/0")


async def noop(_: Any, *, payload: dict[str, Any]) -> dict[str, Any]:
    began(payload)
    return {"id": payload["id"]}


settings = {"queue": queue, "functions": [noop], "concurrency": 100 if TUNED else 10}


class Saq(Contender):
    said = {"default": "the saq command, 10 at once", "tuned": "100 at once, uvloop, log level WARNING"}

    async def reset(self) -> None:
        await queue.connect()
        await queue.redis.flushall()

    async def open(self) -> None:
        await queue.connect()

    async def close(self) -> None:
        await queue.disconnect()

    async def enqueue(self, payload: dict[str, Any]) -> None:
        await queue.enqueue("noop", payload=payload)

    async def finished(self) -> int:
        left = await queue.count("incomplete")
        return sum([1 async for _ in queue.redis.scan_iter(match="saq:job:*", count=20_000)]) - left

    def workers(self, processes: int) -> Sequence[Sequence[str]]:
        plain = [str(BIN / "saq"), "tests.bench.peers.with_saq.settings"]
        return [program("with_saq") if TUNED else plain] * processes


CONTENDER = Saq


async def work() -> None:
    await Worker(Queue.from_url(f"{REDIS}/0"), [noop], concurrency=100).start()


if __name__ == "__main__":
    import uvloop

    logging.basicConfig(level=logging.WARNING)
    uvloop.run(work())
