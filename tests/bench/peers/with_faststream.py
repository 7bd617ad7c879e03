"""FastStream's own subscriber on JetStream, by itself: it keeps nothing, so it is no queue, but the ceiling for one."""

import asyncio
from collections.abc import Sequence
from typing import Any

import nats
from faststream import FastStream
from faststream.nats import JStream, NatsBroker, PullSub
from nats.js.api import ConsumerConfig, StorageType

from tests.bench.contender import NATS, TUNED, Contender, program
from tests.bench.record import began

broker = NatsBroker(NATS, logger=None) if TUNED else NatsBroker(NATS)
stream = JStream(name="FS", subjects=["fs.>"], storage=StorageType.FILE)
app = FastStream(broker)


@broker.subscriber(
    "fs.noop",
    stream=stream,
    durable="bare",
    pull_sub=PullSub(batch_size=200, timeout=1.0) if TUNED else PullSub(),
    config=ConsumerConfig(max_ack_pending=5_000),
)
async def noop(payload: dict[str, Any]) -> None:
    began(payload)


class Bare(Contender):
    said = {"default": "PullSub() as it is", "tuned": "batches of 200, no logger, uvloop"}

    async def reset(self) -> None:
        client = await nats.connect(NATS)
        found = client.jetstream()
        for info in await found.streams_info():
            await found.delete_stream(info.config.name)
        await found.add_stream(name="FS", subjects=["fs.>"], storage=StorageType.FILE)
        await client.close()

    async def open(self) -> None:
        self.sender = NatsBroker(NATS, logger=None)
        await self.sender.start()

    async def close(self) -> None:
        await self.sender.stop()

    async def enqueue(self, payload: dict[str, Any]) -> None:
        await self.sender.publish(payload, "fs.noop", stream="FS")

    async def finished(self) -> None:
        return None

    def workers(self, processes: int) -> Sequence[Sequence[str]]:
        return [program("with_faststream")] * processes


CONTENDER = Bare

if __name__ == "__main__":
    if TUNED:
        import uvloop

        uvloop.run(app.run(log_level=30))
    else:
        asyncio.run(app.run())
