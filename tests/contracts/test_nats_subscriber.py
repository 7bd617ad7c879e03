"""What may the user of `run.json` do on a real server? Subscribe in every ordinary way, and nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig

from adapters.nats import consumers, replay
from adapters.nats.api import call
from adapters.nats.names import HEAD_BELL, durable, queue_bell
from adapters.nats.stream import Limits, LogStream
from infra.app import QUEUES
from infra.embedded.servers import Servers
from tests.waiting import until

LIMITS = Limits(max_bytes=64 * 1024 * 1024, max_age_s=3_600.0)
FACTS = 5
WORKERS = durable("default")
LEGACY = {"ack_policy": "explicit", "filter_subject": "tasks.v1.default.*.queued.>", "max_ack_pending": 1}


@dataclass
class World:
    relay: Client
    admin: Client
    client: Client
    complaints: list[str]

    @property
    def js(self) -> JetStreamContext:
        return self.client.jetstream(timeout=3)

    async def ours(self) -> Any:
        """The stream's content and the workers' durables: what a subscriber must leave alone."""
        state = (await call(self.relay, "STREAM.INFO.LOG"))["state"]
        durables = [await call(self.relay, f"CONSUMER.INFO.LOG.{durable(queue)}") for queue in QUEUES]
        told = ("created", "config", "delivered", "ack_floor", "num_ack_pending", "num_pending", "num_waiting")
        kept = ("messages", "first_seq", "last_seq")
        return [{name: state[name] for name in kept}, *({name: one[name] for name in told} for one in durables)]


@pytest.fixture
async def world(servers: Servers) -> AsyncIterator[World]:
    complaints: list[str] = []

    async def complain(error: Exception) -> None:
        complaints.append(str(error))

    relay = await nats.connect(servers.nats_url("relay"), inbox_prefix="_INBOX_relay")
    admin = await nats.connect(servers.nats_url("admin"))
    client = await nats.connect(servers.nats_url("subscriber"), error_cb=complain)
    stream = LogStream(relay, LIMITS)
    await stream.create(first=1, epoch="e")
    for queue in QUEUES:
        await consumers.ensure(relay, queue, _one)
    for number in range(FACTS):
        await relay.jetstream().publish(f"tasks.v1.default.probe.queued.{number}", b"{}")
    yield World(relay, admin, client, complaints)
    await stream.delete()
    for one in (client, admin, relay):
        await one.close()


PUSHED: dict[str, dict[str, Any]] = {
    "without a stream": {},
    "of a stream": {"stream": "LOG"},
    "ordered": {"stream": "LOG", "ordered_consumer": True},
    "ordered, without a stream": {"ordered_consumer": True},
    "durable": {"stream": "LOG", "durable": "billing"},
    "named": {"stream": "LOG", "config": ConsumerConfig(name="billing")},
    "of a group": {"stream": "LOG", "queue": "billing"},
    "with flow control": {"stream": "LOG", "flow_control": True, "idle_heartbeat": 1.0},
}
PULLED: dict[str, dict[str, Any]] = {
    "ephemeral, without a stream": {},
    "ephemeral": {"stream": "LOG"},
    "durable, without a stream": {"durable": "billing"},
    "durable": {"stream": "LOG", "durable": "billing"},
}


@pytest.mark.parametrize("way", PUSHED)
async def test_a_subscriber_is_pushed_to(world: World, way: str) -> None:
    before = await world.ours()
    subscription = await world.js.subscribe("tasks.v1.>", manual_ack=True, **PUSHED[way])
    messages = [await subscription.next_msg(timeout=3) for _ in range(FACTS)]
    assert [message.metadata.sequence.stream for message in messages] == list(range(1, FACTS + 1))
    assert [message.subject for message in messages] == [f"tasks.v1.default.probe.queued.{n}" for n in range(FACTS)]
    if not PUSHED[way].get("ordered_consumer"):
        for message in messages:
            await message.ack_sync(timeout=3)
        assert (await subscription.consumer_info()).ack_floor.stream_seq == FACTS
    await world.js.delete_consumer("LOG", (await subscription.consumer_info()).name)
    assert (world.complaints, await world.ours()) == ([], before)


@pytest.mark.parametrize("way", PULLED)
async def test_a_subscriber_pulls(world: World, way: str) -> None:
    before = await world.ours()
    subscription = await world.js.pull_subscribe("tasks.v1.>", **PULLED[way])
    messages = [*await subscription.fetch(3, timeout=3), *await subscription.fetch(2, timeout=3)]
    assert [message.metadata.sequence.stream for message in messages] == list(range(1, FACTS + 1))
    for message in messages:
        await message.ack_sync(timeout=3)
    with pytest.raises(TimeoutError):
        await subscription.fetch(1, timeout=0.3)
    info = await subscription.consumer_info()
    assert (info.ack_floor.stream_seq, info.num_ack_pending) == (FACTS, 0)
    await world.js.delete_consumer("LOG", info.name)
    assert (world.complaints, await world.ours()) == ([], before)


async def test_a_subscriber_reads_the_stream(world: World) -> None:
    assert (await world.js.stream_info("LOG")).state.messages == FACTS
    assert (await world.js.account_info()).streams == 1
    subject = "tasks.v1.default.probe.queued.2"
    for direct in (False, True):
        assert (await world.js.get_msg("LOG", 3, direct=direct)).subject == subject
        assert (await world.js.get_last_msg("LOG", subject, direct=direct)).seq == 3
    assert [position async for position, _ in replay.ids(world.client, 1, FACTS)] == list(range(1, FACTS + 1))
    assert world.complaints == []


FORBIDDEN = [
    (f"CONSUMER.CREATE.LOG.{WORKERS}", LEGACY),
    (f"CONSUMER.CREATE.LOG.{WORKERS}.tasks.v1.default.*.queued.>", LEGACY),
    (f"CONSUMER.DURABLE.CREATE.LOG.{WORKERS}", LEGACY | {"durable_name": WORKERS}),
    (f"CONSUMER.DELETE.LOG.{WORKERS}", None),
    (f"CONSUMER.MSG.NEXT.LOG.{WORKERS}", {"batch": 1}),
    (f"CONSUMER.PAUSE.LOG.{WORKERS}", {"pause_until": "2100-01-01T00:00:00Z"}),
    (f"CONSUMER.RESET.LOG.{WORKERS}", None),
    ("STREAM.CREATE.MINE", {"name": "MINE", "subjects": ["mine"]}),
    ("STREAM.UPDATE.LOG", {"name": "LOG", "max_msgs": 1}),
    ("STREAM.DELETE.LOG", None),
    ("STREAM.PURGE.LOG", None),
    ("STREAM.MSG.DELETE.LOG", {"seq": 1}),
]


@pytest.mark.parametrize(("name", "body"), FORBIDDEN, ids=[name for name, _ in FORBIDDEN])
async def test_a_subscriber_is_refused_whatever_changes_something(world: World, name: str, body: Any) -> None:
    before = await world.ours()
    with pytest.raises((TimeoutError, nats.errors.NoRespondersError)):
        await world.client.request(f"$JS.API.{name}", json.dumps(body).encode() if body else b"", timeout=0.3)
    assert [line for line in world.complaints if "permissions violation" in line.lower()]
    assert await world.ours() == before


@pytest.mark.parametrize("subject", ["events.v1.a.b.c", "tasks.v1.default.probe.queued.9", queue_bell("default")])
async def test_a_subscriber_publishes_nothing(world: World, subject: str) -> None:
    before = await world.ours()
    await world.client.publish(subject, b"{}")
    await world.client.flush()
    await until(lambda: bool(world.complaints))
    assert await world.ours() == before


@pytest.mark.parametrize("call", ["CREATE.LOG", "CREATE.LOG.billing", "DURABLE.CREATE.LOG.billing"])
@pytest.mark.parametrize("named", [{}, {"durable_name": WORKERS}, {"durable_name": "billing"}])
async def test_a_name_in_the_payload_does_not_reach_the_durable_of_the_workers(
    world: World, call: str, named: dict[str, str]
) -> None:
    kept = (await world.ours())[1]["config"]
    start = {name: kept[name] for name in ("deliver_policy", "opt_start_seq")}
    before = await world.ours()
    config = LEGACY | start | {"name": WORKERS} | named
    for action in ({}, {"action": "update"}, {"action": "create"}):
        body = json.dumps({"stream_name": "LOG", "config": config} | action).encode()
        told = json.loads((await world.client.request(f"$JS.API.CONSUMER.{call}", body, timeout=3)).data)
        assert told.get("name") != WORKERS
    assert await world.ours() == before


@pytest.mark.parametrize(
    "subject",
    [
        "events.v1.evil.happened.x",
        "$JS.API.STREAM.DELETE.LOG",
        "$JS.API.STREAM.PURGE.LOG",
        f"$JS.API.CONSUMER.DELETE.LOG.{WORKERS}",
        queue_bell("default"),
        "_INBOX_worker.x",
    ],
)
async def test_an_answer_that_is_sent_elsewhere_does_not_arrive(world: World, subject: str) -> None:
    before = await world.ours()
    heard: list[str] = []

    async def hear(message: Any) -> None:
        heard.append(message.subject)

    await world.admin.subscribe(queue_bell("default"), cb=hear)
    await world.admin.subscribe("_INBOX_worker.x", cb=hear)
    await world.admin.flush()
    consumer = await world.js.pull_subscribe("tasks.v1.>", durable="billing", stream="LOG")
    for asked, body in (
        ("INFO", b""),
        ("STREAM.INFO.LOG", b""),
        ("DIRECT.GET.LOG", b'{"seq": 1}'),
        ("DIRECT.GET.LOG", b'{"seq": 99}'),  # its answer is an empty message, as some calls want it
        ("CONSUMER.MSG.NEXT.LOG.billing", b'{"batch": 9, "no_wait": true}'),
        ("CONSUMER.MSG.NEXT.LOG.billing", b'{"batch": 1, "no_wait": true}'),
    ):
        await world.client.publish(f"$JS.API.{asked}", body, reply=subject)
    await world.client.flush()
    assert await consumer.consumer_info()
    await asyncio.sleep(0.2)
    assert (heard, await world.ours()) == ([], before)


async def test_a_push_to_a_call_or_into_the_log_does_nothing(world: World) -> None:
    before = await world.ours()
    for number, subject in enumerate(
        [
            "events.v1.evil.happened.x",
            "$JS.API.STREAM.DELETE.LOG",
            "$JS.API.STREAM.PURGE.LOG",
            "$JS.ACK.LOG.x.1.1.1.1.1",
        ]
    ):
        for first in (subject, "_INBOX.mine"):
            if first != subject:
                await world.client.subscribe(first)
            await _push_to(world, f"evil{number}", first)
            await _push_to(world, f"evil{number}", subject)
    await asyncio.sleep(0.5)
    assert await world.ours() == before


async def test_a_push_can_ring_a_bell_with_facts_only(world: World) -> None:
    """The server does not ask whether the creator may publish there: workers believe the row only."""
    heard: list[bytes] = []

    async def hear(message: Any) -> None:
        heard.append(message.data)

    for bell in (HEAD_BELL, queue_bell("default")):
        await world.admin.subscribe(bell, cb=hear)
    await world.admin.flush()
    await _push_to(world, "evil", queue_bell("default"))
    await until(lambda: len(heard) == FACTS)
    assert set(heard) == {b"{}"}


async def _push_to(world: World, name: str, subject: str) -> None:
    config = {"name": name, "deliver_subject": subject, "ack_policy": "none", "headers_only": "API" in subject}
    body = json.dumps({"stream_name": "LOG", "config": config}).encode()
    await world.client.request(f"$JS.API.CONSUMER.CREATE.LOG.{name}", body, timeout=3)


async def _one() -> int:
    return 1
