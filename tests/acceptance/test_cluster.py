"""Is anything lost when a server of a NATS cluster is killed? Three servers, three replicas, kill -9 under load."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import nats
import pytest
from nats.js.api import ConsumerConfig
from nats.js.errors import Error as StreamError

from adapters.nats.broker import Link
from adapters.nats.stream import Limits, LogStream
from tests.acceptance.apart import Apart, apart
from tests.acceptance.cluster import AWAY, SIZE, Cluster, Node, cluster
from tests.acceptance.running import ROLES, balanced, definite, ended
from tests.waiting import until, until_told

ANSWERED = 60  # tasks that are accepted one by one while a server is away, at least
AT_ONCE = 100  # so many facts go out in atomic batches


async def test_nothing_is_lost_when_a_follower_and_then_the_leader_of_the_stream_are_killed(tmp_path: Path) -> None:
    await _kill_in_turn(tmp_path, rounds=1)


@pytest.mark.long
async def test_nothing_is_lost_when_each_server_is_killed_again_and_again(tmp_path: Path) -> None:
    await _kill_in_turn(tmp_path, rounds=6)


@pytest.fixture(scope="module")
def spare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster without roles, whole before and after each test."""
    with cluster(tmp_path_factory.mktemp("spare")) as servers:
        yield servers


async def test_a_stream_of_one_replica_gets_the_others(spare: Cluster) -> None:
    link = Link(spare.urls["relay"], "relay", "test")
    link.open()
    try:
        await link.wait()
        await until_told(lambda: _made(link), 30, AWAY)
        assert (await spare.info())["config"]["num_replicas"] == 1
        assert await LogStream(link.client, Limits(0, 0, SIZE)).bring_up_to_date()
        await spare.whole()
        assert not await LogStream(link.client, Limits(0, 0, SIZE)).bring_up_to_date()
    finally:
        await link.close()


async def test_who_was_told_of_one_server_only_goes_on_with_the_others(spare: Cluster) -> None:
    told = spare.nodes[0]
    link = Link(spare.urls["reader"].split(",")[0], "reader", "test")
    link.open()
    try:
        await link.wait()
        await until(lambda: len(link.client.discovered_servers) >= SIZE - 1, 30)
        told.server.kill()
        await until(lambda: link.up and str(told.client) not in link.client.connected_url.netloc, 30)
    finally:
        await link.close()
        told.server.start()


async def _made(link: Link) -> bool:
    """The stream is there; for a moment after the start nobody leads the cluster."""
    await LogStream(link.client, Limits(0, 0, 1)).create(1, "epoch")
    return True


async def _kill_in_turn(path: Path, rounds: int) -> None:
    with cluster(path) as servers, apart(path / "home", servers.urls, POSTCOMMIT_NATS_REPLICAS=str(SIZE)) as here:
        for role in ROLES:
            here.start(role)
        await _ready(here)
        accepted: list[str] = []
        heard: list[int] = []
        async with here.client(timeout=10) as client, _subscribed(servers, heard):
            loading = asyncio.create_task(_load(here, accepted))
            for _ in range(rounds):
                for leads in (False, True):
                    await _lose(servers, leads, client, accepted)
            loading.cancel()
            tasks = await ended(client, accepted)
            assert (await balanced(client))["accepted"] >= len(accepted)
            await servers.whole()
            head = await here.sql("SELECT max(position) FROM postcommit.ledger")
            await until(lambda: heard[-1:] == [head], 30)
        here.sound()
        assert here.ended() == {}, "no role had to be started again"
    assert {task["status"] for task in tasks} == {"complete"}
    assert heard == list(range(1, head + 1))
    assert here.log("relay").count("mirror.made") == 1, "the stream outlived its servers"


async def _lose(servers: Cluster, leads: bool, client: httpx.AsyncClient, accepted: list[str]) -> None:
    """Kill a server, the stream's leader or not, let work go on without it, and start it again."""
    lost = await _chosen(servers, leads)
    lost.server.kill()
    body = [{"kind": "probe", "request": {"payload": nth}} for nth in range(AT_ONCE)]
    accepted.extend((await definite(client, "/v1/tasks/batch", body, str(uuid4())))["tasks"])
    enough = len(accepted) + ANSWERED
    await until(lambda: len(accepted) >= enough, 60)
    await servers.leader()
    lost.server.start()
    await servers.whole()


async def _chosen(servers: Cluster, leads: bool) -> Node:
    leader = await servers.leader()
    return leader if leads else next(node for node in servers.nodes if node is not leader)


async def _ready(here: Apart) -> None:
    async with here.client() as client:

        async def ok() -> bool:
            return bool((await client.get("/readyz")).json()["status"] == "ok")

        await until_told(ok, 60, (httpx.HTTPError,))


async def _load(here: Apart, accepted: list[str]) -> None:
    """Four clients, each with ten tasks a second at most; every one is noted as soon as its 202 has come."""

    async def ask(number: int) -> None:
        async with here.client(timeout=5) as client:
            for nth in range(100_000):
                body = {"kind": "probe", "request": {"payload": nth}}
                accepted.append((await definite(client, "/v1/tasks", body, f"{number}-{nth}"))["id"])
                await asyncio.sleep(0.1)

    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(ask(number))


@asynccontextmanager
async def _subscribed(servers: Cluster, heard: list[int]) -> AsyncIterator[None]:
    """A foreign subscriber with a durable of its own, who keeps the position that it has reached."""
    parts = servers.urls["subscriber"].split(",")
    bare = ["nats://" + part.rpartition("@")[2] for part in parts]
    login = {"user": "subscriber", "password": "secret-of-subscriber"}
    client = await nats.connect(bare, max_reconnect_attempts=-1, reconnect_time_wait=0.2, error_cb=_unheard, **login)

    async def hear() -> None:
        stream = client.jetstream(timeout=2)
        while True:
            try:
                wanted = ConsumerConfig(name="foreign", durable_name="foreign", filter_subject=">", ack_wait=5)
                await stream.add_consumer("LOG", wanted)
                bells = await stream.pull_subscribe_bind("foreign", "LOG")
                while True:
                    for message in await bells.fetch(50, timeout=1):
                        position = message.metadata.sequence.stream
                        if position > (heard[-1] if heard else 0):
                            heard.append(position)
                        await message.ack()
            except (nats.errors.Error, StreamError, TimeoutError, OSError):
                await asyncio.sleep(0.1)

    hearing = asyncio.create_task(hear())
    try:
        yield
    finally:
        hearing.cancel()
        await client.close()


async def _unheard(_: Exception) -> None:
    """Servers that are away are the subject here."""
