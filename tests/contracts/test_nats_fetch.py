"""Does a worker hear the bells of its queue, and nothing else? A real server, and foreign messages."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import UUID

import nats
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nats.aio.client import Client

from adapters.nats import consumers
from adapters.nats.api import call
from adapters.nats.fetch import Bell, Fetcher, acknowledge
from adapters.nats.names import durable
from adapters.nats.stream import Limits, LogStream
from infra.clock import new_id
from infra.embedded.servers import Servers
from tests.waiting import until, until_told

LIMITS = Limits(max_bytes=64 * 1024 * 1024, max_age_s=3_600.0)


@pytest.fixture
async def relay(servers: Servers) -> AsyncIterator[Client]:
    client = await nats.connect(servers.nats_url("relay"), inbox_prefix="_INBOX_relay")
    stream = LogStream(client, LIMITS)
    await stream.create(first=1, epoch="e")
    await consumers.ensure(client, "default", _one)
    yield client
    await stream.delete()
    await client.close()


@pytest.fixture
async def worker(servers: Servers) -> AsyncIterator[Client]:
    client = await nats.connect(servers.nats_url("worker"), inbox_prefix="_INBOX_worker")
    yield client
    await client.close()


async def test_what_names_no_task_is_acknowledged_and_rings_nothing(relay: Client, worker: Client) -> None:
    ids, heard = [new_id(), new_id()], list[Bell]()
    for last in ("9", "x", ids[0], "y", ids[1]):
        await relay.jetstream().publish(f"tasks.v1.default.probe.queued.{last}", b"{}")

    fetching = asyncio.create_task(Fetcher(worker, "default", "_INBOX_worker.fetch").run(_two, heard.extend))
    await until(lambda: len(heard) == len(ids))
    await until_told(lambda: _unacknowledged(relay, len(ids)))
    assert [bell.task for bell in heard] == ids

    await acknowledge(worker, heard)
    await until_told(lambda: _unacknowledged(relay, 0))
    fetching.cancel()
    with suppress(asyncio.CancelledError):
        await fetching


async def test_what_is_sent_to_the_inbox_past_the_stream_rings_nothing(
    servers: Servers, relay: Client, worker: Client
) -> None:
    admin = await nats.connect(servers.nats_url("admin"))
    asked = await admin.subscribe(f"$JS.API.CONSUMER.MSG.NEXT.LOG.{durable('default')}", max_msgs=1)
    await admin.flush()
    heard = list[Bell]()
    fetching = asyncio.create_task(Fetcher(worker, "default", "_INBOX_worker.fetch").run(_two, heard.extend))
    inbox = (await asked.next_msg(timeout=10)).reply
    await admin.publish(inbox, b"nonsense")

    id: UUID = new_id()
    await relay.jetstream().publish(f"tasks.v1.default.probe.queued.{id}", b"{}")
    await until(lambda: bool(heard))
    assert [bell.task for bell in heard] == [id] and not fetching.done()

    fetching.cancel()
    with suppress(asyncio.CancelledError):
        await fetching
    await admin.close()


async def _one() -> int:
    return 1


async def _two() -> int:
    return 2


async def _unacknowledged(relay: Client, count: int) -> bool:
    info = await call(relay, f"CONSUMER.INFO.LOG.{durable('default')}")
    return bool(info["num_ack_pending"] == count and info["num_pending"] == 0)


@given(st.binary(), st.binary(), st.binary(), st.binary())
@example(b"tasks.v1.q.k.queued." + b"\xff" * 36, b"\xff", b"NATS/1.0\r\nce-sequence: x\r\n\r\n", b"{}")
@example(b"tasks.v1.q.k.queued.0190a000-0000-7000-8000-000000000001", b"\xff", b"\r\nce-sequence:\xff\r\n", b"{}")
@example(b"_INBOX_worker.fetch.1", b"", b"NATS/1.0 \xff\xff\xff\r\n\r\n", b"")
def test_no_message_breaks_the_connection(subject: bytes, reply: bytes, headers: bytes, payload: bytes) -> None:
    """What is raised where the driver reads ends the connection, and with it the reading."""
    fetcher = Fetcher(Client(), "default", "_INBOX_worker.fetch")
    fetcher._take(subject, reply, headers, payload)
    assert len(fetcher._bells) + len(fetcher._foreign) + bool(fetcher._ended) <= 1
