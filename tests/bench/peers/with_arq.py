"""ARQ: Redis, results kept. It needs an older Redis client than the others, and so an environment of its own."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from arq import create_pool, run_worker
from arq.connections import RedisSettings

from tests.bench.contender import BIN, REDIS, TUNED, Contender, program
from tests.bench.record import began


async def noop(_: Any, payload: dict[str, Any]) -> dict[str, Any]:
    began(payload)
    return {"id": payload["id"]}


class WorkerSettings:
    functions = [noop]
    redis_settings = RedisSettings.from_dsn(f"{REDIS}/0")
    if TUNED:
        max_jobs = 100
        poll_delay = 0.01
        log_results = False


class Arq(Contender):
    said = {
        "default": "the arq command: 10 jobs at once, polls every 0.5 s",
        "tuned": "100 jobs at once, polls every 10 ms, uvloop, hiredis, log level WARNING",
    }

    async def reset(self) -> None:
        pool = await create_pool(WorkerSettings.redis_settings)
        await pool.flushall()
        await pool.aclose()

    async def open(self) -> None:
        self.pool = await create_pool(WorkerSettings.redis_settings)

    async def close(self) -> None:
        await self.pool.aclose()

    async def enqueue(self, payload: dict[str, Any]) -> None:
        await self.pool.enqueue_job("noop", payload)

    async def finished(self) -> int:
        return sum([1 async for _ in self.pool.scan_iter(match="arq:result:*", count=20_000)])

    def workers(self, processes: int) -> Sequence[Sequence[str]]:
        plain = [str(BIN / "arq"), "tests.bench.peers.with_arq.WorkerSettings"]
        return [program("with_arq") if TUNED else plain] * processes


CONTENDER = Arq


if __name__ == "__main__":
    import uvloop

    logging.basicConfig(level=logging.WARNING)
    asyncio.set_event_loop(uvloop.new_event_loop())
    run_worker(WorkerSettings)
