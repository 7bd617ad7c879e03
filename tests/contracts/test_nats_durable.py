"""Where does a queue's durable stand, on a real server that is stopped and started again?"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError

from adapters.nats import consumers
from adapters.nats.api import NoAnswer, call
from adapters.nats.names import durable
from adapters.nats.stream import Limits, LogStream
from infra.embedded.servers import Servers, start_servers
from tests.waiting import until_told

LIMITS = Limits(max_bytes=64 * 1024 * 1024, max_age_s=3_600.0)
QUEUE = "default"
FILLED, START = 5, 8  # the stream's last position, and where the durable is to begin: it is still to be filled


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Servers of this module alone: they are restarted."""
    with start_servers(Path(tmp_path_factory.mktemp("durables"))) as running:
        yield running


@pytest.fixture
async def relay(own: Servers) -> AsyncIterator[Client]:
    client = await nats.connect(own.nats_url("relay"), inbox_prefix="_INBOX_relay")
    stream = LogStream(client, LIMITS)
    await stream.create(first=1, epoch="e")
    await fill(client, FILLED)
    yield client
    await stream.delete()
    await client.close()


async def fill(client: Client, count: int) -> None:
    for number in range(count):
        await client.jetstream().publish(f"tasks.v1.{QUEUE}.probe.queued.{number}", b"{}")


async def start() -> int:
    return START


async def waiting(client: Client) -> int:
    """How many bells the durable is still to ring."""
    return int((await call(client, f"CONSUMER.INFO.LOG.{durable(QUEUE)}"))["num_pending"])


async def test_a_durable_is_made_once(relay: Client) -> None:
    made = [await consumers.ensure(relay, QUEUE, start) for _ in range(3)]
    assert (made, await consumers.delivered(relay, QUEUE)) == ([True, False, False], START - 1)


async def test_a_server_that_restarts_while_the_stream_is_filled_does_not_ring_for_what_is_filled_in(
    own: Servers, relay: Client
) -> None:
    await consumers.ensure(relay, QUEUE, start)
    own.nats.restart()
    await until_told(lambda: call(relay, "STREAM.INFO.LOG", timeout=0.5), away=(NatsError, NoAnswer))
    assert await consumers.delivered(relay, QUEUE) == FILLED, "so the server does, and it is the reason for this test"
    assert await consumers.ensure(relay, QUEUE, start)
    await fill(relay, START - FILLED)
    assert (await waiting(relay), await consumers.delivered(relay, QUEUE)) == (1, START - 1)
    assert not await consumers.ensure(relay, QUEUE, start)


async def test_a_durable_of_an_old_copy_is_made_anew(relay: Client) -> None:
    """It stands where it stood when the copy was made, and has been further."""
    await consumers.ensure(relay, QUEUE, _first)
    assert await waiting(relay) == FILLED
    assert not await consumers.ensure(relay, QUEUE, start, furthest=0)
    assert await consumers.ensure(relay, QUEUE, start, furthest=START)
    await fill(relay, START - FILLED)
    assert await waiting(relay) == 1


async def _first() -> int:
    return 1
