"""Huey: Redis, results kept."""

from collections.abc import Sequence
from typing import Any

import redis
from huey import RedisHuey

from tests.bench.contender import BIN, REDIS, TUNED, Contender
from tests.bench.record import began

huey = RedisHuey("bench", url=f"{REDIS}/0")


@huey.task()
def noop(payload: dict[str, Any]) -> dict[str, Any]:
    began(payload)
    return {"id": payload["id"]}


class InHuey(Contender):
    said = {
        "default": "huey_consumer with one thread; two processes are two consumers; calls by one thread",
        "tuned": "four threads in each consumer, quiet, nothing periodic; calls by 8 threads",
    }
    blocks = True
    at_once = 8 if TUNED else 1

    async def reset(self) -> None:
        redis.Redis.from_url(REDIS).flushall()

    def enqueue_now(self, payload: dict[str, Any]) -> None:
        noop(payload)

    async def finished(self) -> int:
        return int(huey.result_count())

    def workers(self, processes: int) -> Sequence[Sequence[str]]:
        lean = ["-w", "4", "-k", "thread", "-q", "-n"] if TUNED else []
        return [[str(BIN / "huey_consumer"), "tests.bench.peers.with_huey.huey", *lean]] * processes


CONTENDER = InHuey
