"""taskiq-nats: JetStream by pulling, results in NATS's object store."""

from collections.abc import Sequence
from typing import Any

import nats
from nats.js.api import ConsumerConfig
from taskiq_nats import NATSObjectStoreResultBackend, PullBasedJetStreamBroker

from tests.bench.contender import BIN, NATS, TUNED, Contender
from tests.bench.record import began

# With a batch of more than one, the driver's fetch waits for a full one: so the time to wait is short.
TUNING: dict[str, Any] = {
    "pull_consume_batch": 100,
    "pull_consume_timeout": 0.05,
    "consumer_config": ConsumerConfig(durable_name="taskiq_durable", max_ack_pending=5_000),
}
broker = PullBasedJetStreamBroker([NATS], **(TUNING if TUNED else {})).with_result_backend(
    NATSObjectStoreResultBackend([NATS])
)


@broker.task(task_name="noop")
async def noop(payload: dict[str, Any]) -> dict[str, Any]:
    began(payload)
    return {"id": payload["id"]}


class Taskiq(Contender):
    said = {
        "default": "fetches one at a time, 100 at once, acknowledged when the result is saved",
        "tuned": "fetches 100 within 50 ms, 200 at once, nothing parsed, log level WARNING",
    }

    async def reset(self) -> None:
        client = await nats.connect(NATS)
        stream = client.jetstream()
        for info in await stream.streams_info():
            await stream.delete_stream(info.config.name)
        await client.close()

    async def open(self) -> None:
        await broker.startup()
        self.client = await nats.connect(NATS)
        self.stream = self.client.jetstream()

    async def close(self) -> None:
        await broker.shutdown()
        await self.client.close()

    async def enqueue(self, payload: dict[str, Any]) -> None:
        await noop.kiq(payload)

    async def finished(self) -> int:
        info = await self.stream.stream_info("OBJ_taskiq_results")
        return info.state.messages // 2  # a result is two messages

    def workers(self, processes: int) -> Sequence[Sequence[str]]:
        more = ["--max-async-tasks", "200", "--max-prefetch", "200", "--no-parse", "--log-level", "WARNING"]
        plain = [str(BIN / "taskiq"), "worker", "tests.bench.peers.with_taskiq:broker", "-w", str(processes)]
        return [[*plain, *more] if TUNED else plain]


CONTENDER = Taskiq
