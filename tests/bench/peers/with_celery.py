"""Celery: Redis as its broker, results kept in Redis."""

from collections.abc import Sequence
from typing import Any

import redis
from celery import Celery

from tests.bench.contender import BIN, REDIS, TUNED, Contender
from tests.bench.record import began

app = Celery("bench", broker=f"{REDIS}/0", backend=f"{REDIS}/1")
if TUNED:
    app.conf.update(
        worker_prefetch_multiplier=100,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        broker_pool_limit=16,
        result_expires=3_600,
    )


@app.task(name="noop")
def noop(payload: dict[str, Any]) -> dict[str, Any]:
    began(payload)
    return {"id": payload["id"]}


class InCelery(Contender):
    said = {
        "default": "the celery command, a prefork pool with a process for each worker; delay() by one thread",
        "tuned": "-P solo in each process, prefetch 100, no gossip, mingle, heartbeat; send_task() by 8 threads, from "
        "an application without a result backend (no SUBSCRIBE for each call)",
    }
    drained = 4_000
    blocks = True
    at_once = 8 if TUNED else 1

    async def reset(self) -> None:
        redis.Redis.from_url(REDIS).flushall()

    async def open(self) -> None:
        self.results = redis.Redis.from_url(f"{REDIS}/1")
        self.sender = Celery("sender", broker=f"{REDIS}/0")
        self.sender.conf.update(broker_pool_limit=16)

    def enqueue_now(self, payload: dict[str, Any]) -> None:
        if TUNED:
            self.sender.send_task("noop", (payload,), retry=False)
        else:
            noop.delay(payload)

    async def finished(self) -> int:
        return int(self.results.dbsize())

    def workers(self, processes: int) -> Sequence[Sequence[str]]:
        plain = [str(BIN / "celery"), "-A", "tests.bench.peers.with_celery", "worker", "-l", "WARNING"]
        if not TUNED:
            return [[*plain, "-c", str(processes)]]
        lean = ["-P", "solo", "--without-gossip", "--without-mingle", "--without-heartbeat"]
        return [[*plain, *lean, "-n", f"worker{number}@bench"] for number in range(processes)]


CONTENDER = InCelery
