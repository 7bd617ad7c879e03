"""What may a registered consumer do on a real server? Fetch from its own durable, and nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.errors import NoRespondersError

from adapters.nats import registered
from adapters.nats.api import call
from adapters.nats.names import consumer
from adapters.nats.stream import Limits, LogStream
from adapters.postgres.database import Database
from infra.app import QUEUES
from infra.embedded import passwords
from infra.embedded.nats import write_accounts
from infra.embedded.reload import let_in, reload
from infra.embedded.servers import Servers, start_servers
from infra.roles.keeper import Keeper
from tests.waiting import until, until_told

LIMITS = Limits(max_bytes=64 * 1024 * 1024, max_age_s=3_600.0)
ORDERS = "events.v1.order.>"
FACTS = 5


@dataclass
class World:
    servers: Servers
    relay: Client
    client: Client
    complaints: list[str]

    def kept(self) -> dict[str, str]:
        return dict(passwords.known(self.servers.home))

    async def ours(self) -> Any:
        """The stream's content and every durable: what a consumer must leave alone."""
        state = (await call(self.relay, "STREAM.INFO.LOG"))["state"]
        names = (await call(self.relay, "CONSUMER.NAMES.LOG"))["consumers"] or []
        told = ("config", "delivered", "ack_floor", "num_ack_pending", "num_pending", "num_waiting")
        infos = [await call(self.relay, f"CONSUMER.INFO.LOG.{name}") for name in sorted(names)]
        kept = {name: state[name] for name in ("messages", "first_seq", "last_seq")}
        return kept, [{name: one[name] for name in told} for one in infos]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Servers of this module alone: their accounts are changed while they run."""
    with start_servers(Path(tmp_path_factory.mktemp("consumers"))) as running:
        yield running


@pytest.fixture(scope="module")
def let(own: Servers) -> None:
    """Two registered consumers: the server knows them all the time."""
    asyncio.run(both(own))


async def both(own: Servers) -> None:
    relay = await nats.connect(own.nats_url("relay"), inbox_prefix="_INBOX_relay")
    stream = LogStream(relay, LIMITS)
    await stream.create(first=1, epoch="e")
    for name in ("billing", "other"):
        await registered.make(relay, name, ORDERS, 1)
        await added(own, name)
    await stream.delete()
    await relay.close()


@pytest.fixture
async def world(own: Servers, let: None) -> AsyncIterator[World]:
    """A fresh stream, and the durables of two consumers, of orders and of accounts; the first is connected."""
    complaints: list[str] = []
    relay = await nats.connect(own.nats_url("relay"), inbox_prefix="_INBOX_relay")
    stream = LogStream(relay, LIMITS)
    await stream.create(first=1, epoch="e")
    for number in range(FACTS):
        await relay.jetstream().publish(f"events.v1.order.created.{number}", b"{}")
        await relay.jetstream().publish(f"events.v1.account.registered.{number}", b"{}")
    await registered.make(relay, "billing", ORDERS, 1)
    await registered.make(relay, "other", "events.v1.account.>", 1)
    client = await connected(own, "billing", complaints)
    yield World(own, relay, client, complaints)
    await client.close()
    await stream.delete()
    await relay.close()


async def added(servers: Servers, name: str) -> None:
    with passwords.changing(servers.home) as kept:
        secret = kept.setdefault(name, passwords.password())
    write_accounts(servers.home, QUEUES)
    assert await let_in(servers.home, name, secret) is None


async def connected(servers: Servers, name: str, complaints: list[str], **more: Any) -> Client:
    async def complain(error: Exception) -> None:
        complaints.append(str(error))

    url = f"nats://{consumer(name)}:{passwords.known(servers.home)[name]}@127.0.0.1:{servers.home.ports['nats']}"
    return await nats.connect(url, **({"inbox_prefix": f"_INBOX_{name}", "error_cb": complain} | more))


async def test_a_consumer_fetches_what_its_filter_lets_through_and_acknowledges_it(world: World) -> None:
    subscription = await world.client.jetstream().pull_subscribe_bind(consumer("billing"), "LOG")
    messages = await subscription.fetch(FACTS, timeout=3)
    assert [message.subject for message in messages] == [f"events.v1.order.created.{n}" for n in range(FACTS)]
    for message in messages:
        await message.ack_sync(timeout=3)
    assert (await subscription.consumer_info()).ack_floor.stream_seq == 2 * FACTS - 1
    found = await registered.find(world.relay, "billing")
    assert found is not None and (found.filter, found.reached) == (ORDERS, 2 * FACTS - 1)
    assert world.complaints == []


async def test_an_ordinary_subscription_binds_to_the_durable_that_is_there(world: World) -> None:
    js = world.client.jetstream(timeout=3)
    subscription = await js.pull_subscribe(ORDERS, durable=consumer("billing"), stream="LOG")
    assert len(await subscription.fetch(FACTS, timeout=3)) == FACTS
    assert world.complaints == []


PUSH = {"deliver_subject": "_INBOX_billing.x", "ack_policy": "none"}
DENIED: list[tuple[str, Any]] = [
    ("INFO", None),
    ("STREAM.INFO.LOG", None),
    ("STREAM.NAMES", None),
    ("STREAM.DELETE.LOG", None),
    ("STREAM.PURGE.LOG", None),
    ("STREAM.MSG.GET.LOG", {"seq": 2}),
    ("STREAM.MSG.DELETE.LOG", {"seq": 2}),
    ("DIRECT.GET.LOG", {"seq": 2}),
    ("DIRECT.GET.LOG.events.v1.account.registered.1", None),
    ("CONSUMER.NAMES.LOG", None),
    ("CONSUMER.INFO.LOG.consumer-other", None),
    ("CONSUMER.INFO.LOG.worker-default-v1", None),
    ("CONSUMER.MSG.NEXT.LOG.consumer-other", {"batch": 1}),
    ("CONSUMER.MSG.NEXT.LOG.worker-default-v1", {"batch": 1}),
    ("CONSUMER.DELETE.LOG.consumer-billing", None),
    ("CONSUMER.DELETE.LOG.consumer-other", None),
    ("CONSUMER.PAUSE.LOG.consumer-billing", {"pause_until": "2099-01-01T00:00:00Z"}),
    ("CONSUMER.RESET.LOG.consumer-billing", {"seq": 1}),
    ("CONSUMER.CREATE.LOG", {"stream_name": "LOG", "config": PUSH}),
    ("CONSUMER.CREATE.LOG.x", {"stream_name": "LOG", "config": PUSH | {"name": "x"}}),
    ("CONSUMER.CREATE.LOG.consumer-billing.events.v1.>", {"stream_name": "LOG", "config": PUSH}),
    ("CONSUMER.DURABLE.CREATE.LOG.consumer-billing", {"stream_name": "LOG", "config": PUSH}),
    ("CONSUMER.DURABLE.CREATE.LOG.x", {"stream_name": "LOG", "config": PUSH | {"durable_name": "x"}}),
]


async def test_a_consumer_may_make_no_other_call(world: World) -> None:
    before = await world.ours()

    async def answered(name: str, body: Any) -> bool:
        try:
            await world.client.request(f"$JS.API.{name}", json.dumps(body).encode() if body else b"", timeout=0.5)
        except (TimeoutError, NoRespondersError):
            return False
        return True

    answers = await asyncio.gather(*(answered(name, body) for name, body in DENIED))
    assert [name for (name, _), one in zip(DENIED, answers, strict=True) if one] == []
    for name, _ in DENIED:
        assert any(f'"$JS.API.{name}"'.lower() in one.lower() for one in world.complaints), name
    assert await world.ours() == before


@pytest.mark.parametrize(
    "subject", ["events.v1.order.created.x", "tasks.v1.default.probe.queued.x", "bells.v1.log", "_INBOX_other.x", "x"]
)
async def test_a_consumer_publishes_nothing(world: World, subject: str) -> None:
    before = await world.ours()
    await world.client.publish(subject, b"forged")
    await world.client.flush()
    await until(lambda: bool(world.complaints))
    assert "permissions violation" in world.complaints[0].lower()
    assert await world.ours() == before


@pytest.mark.parametrize("subject", [">", "events.v1.>", "bells.v1.>", "_INBOX.>", "_INBOX_other.>", "_INBOX_relay.>"])
async def test_a_consumer_hears_nothing_but_its_own_inbox(world: World, subject: str) -> None:
    await world.client.subscribe(subject)
    await until(lambda: bool(world.complaints))
    assert "permissions violation" in world.complaints[0].lower()


@pytest.mark.parametrize(
    "subject",
    [
        "events.v1.evil.happened.x",
        "$JS.API.STREAM.DELETE.LOG",
        "$JS.API.STREAM.PURGE.LOG",
        "$JS.API.CONSUMER.DELETE.LOG.consumer-other",
        "$JS.API.CONSUMER.MSG.NEXT.LOG.consumer-other",
        "bells.v1.log",
        "_INBOX_other.x",
        "_INBOX_worker.x",
        "_INBOX.x",
    ],
)
async def test_an_answer_that_is_sent_elsewhere_arrives_nowhere(world: World, subject: str) -> None:
    """The server does not ask whether who names the subject of an answer may publish there."""
    admin = await nats.connect(world.servers.nats_url("admin"))
    subscriber = await nats.connect(world.servers.nats_url("subscriber"))
    other = await connected(world.servers, "other", [])
    heard: list[str] = []

    async def hear(message: Any) -> None:
        heard.append(message.subject)

    await other.subscribe("_INBOX_other.>", cb=hear)
    await subscriber.subscribe("_INBOX.x", cb=hear)
    if not subject.startswith("$JS"):
        await admin.subscribe(subject, cb=hear)
    for one in (admin, subscriber, other):
        await one.flush()
    _, before = await world.ours()
    durable = consumer("billing")
    for name, body in (("INFO", b""), ("MSG.NEXT", b'{"batch": 9, "no_wait": true}'), ("MSG.NEXT", b"")):
        await world.client.publish(f"$JS.API.CONSUMER.{name}.LOG.{durable}", body, reply=subject)
    await world.client.flush()
    subscription = await world.client.jetstream().pull_subscribe_bind(durable, "LOG")
    await subscription.consumer_info()  # an answer later, the others were given
    kept, after = await world.ours()
    assert (heard, kept) == ([], {"messages": 2 * FACTS, "first_seq": 1, "last_seq": 2 * FACTS})
    assert [one for one in after if "order" not in one["config"]["filter_subject"]] == before[1:]
    for one in (admin, subscriber, other):
        await one.close()


async def test_the_general_user_of_subscribers_cannot_touch_the_durable_of_a_consumer(world: World) -> None:
    complaints: list[str] = []

    async def complain(error: Exception) -> None:
        complaints.append(str(error))

    before = await world.ours()
    subscriber = await nats.connect(world.servers.nats_url("subscriber"), error_cb=complain)
    config = {"durable_name": "consumer-billing", "ack_policy": "explicit", "filter_subject": "events.v1.none.>"}
    body = json.dumps({"stream_name": "LOG", "config": config}).encode()
    calls = ["DELETE.LOG.{}", "INFO.LOG.{}", "MSG.NEXT.LOG.{}", "CREATE.LOG.{}", "DURABLE.CREATE.LOG.{}"]
    for name in [*calls, "CREATE.LOG.{}.events.v1.none.>"]:
        with pytest.raises(TimeoutError):
            await subscriber.request(f"$JS.API.CONSUMER.{name.format('consumer-billing')}", body, timeout=0.3)
    assert len(complaints) == 6
    await subscriber.request("$JS.API.CONSUMER.CREATE.LOG", body, timeout=3)  # the name in the payload does not count
    names = (await call(world.relay, "CONSUMER.NAMES.LOG"))["consumers"]
    for name in set(names) - {"consumer-billing", "consumer-other"}:
        await call(world.relay, f"CONSUMER.DELETE.LOG.{name}")
    assert await world.ours() == before
    await subscriber.close()


async def test_a_consumer_that_nats_refuses_keeps_no_other_from_its_durable(
    world: World, dsn: Callable[[str], str]
) -> None:
    database = Database(dsn("postcommit"), 1)
    async with database.driver() as connection:
        put = "INSERT INTO postcommit.consumers (name, filter, position, created_at) VALUES ($1, $2, 0, now())"
        await connection.executemany(put, [("a/b", ORDERS), ("later", ORDERS)])
    await Keeper(database).keep(world.relay, 1, 0, 0)
    await database.close()
    assert await registered.find(world.relay, "a/b") is None  # no name for NATS
    assert await registered.find(world.relay, "later") == registered.Durable(ORDERS, 0, 0)


async def test_a_durable_that_went_back_is_made_anew_behind_the_position_that_was_reached(
    world: World, dsn: Callable[[str], str]
) -> None:
    database = Database(dsn("postcommit"), 1)
    async with database.driver() as connection:
        put = "INSERT INTO postcommit.consumers (name, filter, position, created_at) VALUES ($1, $2, $3, now())"
        await connection.executemany(put, [("other", "events.v1.account.>", 2 * FACTS - 2), ("billing", ORDERS, 0)])
    for _ in range(2):
        await Keeper(database).keep(world.relay, 1, 0, 2 * FACTS)
    await database.close()
    names = ("other", "billing")
    told = [await call(world.relay, f"CONSUMER.INFO.LOG.{consumer(name)}") for name in names]
    assert [one["num_pending"] for one in told] == [1, FACTS]


async def test_a_consumer_is_let_in_after_a_restart_of_the_server_and_no_longer_when_it_was_removed(
    world: World,
) -> None:
    password = world.kept()["billing"]
    world.servers.nats.restart()
    assert await let_in(world.servers.home, "billing", password) is None
    again = await connected(world.servers, "billing", [], allow_reconnect=False)
    with passwords.changing(world.servers.home) as kept:
        del kept["billing"]
    write_accounts(world.servers.home, QUEUES)
    assert reload(world.servers.home)
    await until(lambda: again.is_closed)
    url = f"nats://consumer-billing:{password}@127.0.0.1:{world.servers.home.ports['nats']}"

    async def refused() -> bool:
        try:
            client = await nats.connect(url, allow_reconnect=False, error_cb=_unheard)
        except nats.errors.Error as error:
            return "authorization" in str(error).lower()
        await client.close()
        return False

    await until_told(refused)
    await until_told(lambda: _lives(world.relay))
    await added(world.servers, "billing")


async def test_no_server_that_runs_is_no_error(world: World) -> None:
    world.servers.nats.stop()
    try:
        assert not reload(world.servers.home)
        assert await let_in(world.servers.home, "billing", "x") == (
            "NATS does not run just now: the consumer is let in as soon as it does."
        )
    finally:
        world.servers.nats.start()
    await until_told(lambda: _lives(world.relay))


async def _lives(client: Client) -> bool:
    try:
        return bool(await call(client, "STREAM.INFO.LOG", timeout=0.5))
    except Exception:
        await asyncio.sleep(0)
        return False


async def _unheard(_: Exception) -> None:
    """Refusals are the subject here."""
