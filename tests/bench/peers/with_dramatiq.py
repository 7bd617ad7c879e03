"""Dramatiq: Redis, results kept."""

from collections.abc import Sequence
from typing import Any

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from tests.bench.contender import BIN, REDIS, TUNED, Contender
from tests.bench.record import began

broker = RedisBroker(url=f"{REDIS}/0")
broker.add_middleware(Results(backend=RedisBackend(url=f"{REDIS}/1"), store_results=True))
dramatiq.set_broker(broker)


@dramatiq.actor
def noop(payload: dict[str, Any]) -> dict[str, Any]:
    began(payload)
    return {"id": payload["id"]}


class InDramatiq(Contender):
    said = {
        "default": "the dramatiq command, 8 threads in each process; send() by one thread",
        "tuned": "2 threads in each process, prefetch 100; send() by 8 threads",
    }
    blocks = True
    at_once = 8 if TUNED else 1
    environ = {"dramatiq_queue_prefetch": "100"} if TUNED else {}

    async def reset(self) -> None:
        redis.Redis.from_url(REDIS).flushall()

    async def open(self) -> None:
        self.results = redis.Redis.from_url(f"{REDIS}/1")

    def enqueue_now(self, payload: dict[str, Any]) -> None:
        noop.send(payload)

    async def finished(self) -> int:
        return int(self.results.dbsize())

    def workers(self, processes: int) -> Sequence[Sequence[str]]:
        threads = ["-t", "2"] if TUNED else []
        return [[str(BIN / "dramatiq"), "tests.bench.peers.with_dramatiq", "-p", str(processes), *threads]]


CONTENDER = InDramatiq
