"""What does it cost when NATS is away, loses its disk, or tells lies? Latency, and nothing else."""

import asyncio
import json
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.errors import NotFoundError

from adapters.nats.names import HEAD_BELL, LOG_BELL, durable, queue_bell
from tests.acceptance.running import (
    AWAY,
    ROLES,
    Running,
    balanced,
    cpu_s,
    definite,
    ended,
    probes,
    see,
)
from tests.waiting import alive, until, until_told

OUTCOMES_S = 60.0
MOST_CPU = 0.2
EPOCH = "SELECT id FROM postcommit.epochs ORDER BY id DESC LIMIT 1"
FACTS = "SELECT count(*) FROM postcommit.events"


async def test_everything_is_done_within_60_s_though_nats_came_back_without_its_disk(service: Running) -> None:
    async with service.client() as client:
        ids = await probes(client, [{"work_s": 0.5 * (n % 2)} for n in range(60)])
        service.signal(signal.SIGUSR1)
        ids += await probes(client, [{"work_s": 0.5 * (n % 2)} for n in range(60)])
        await _all_done(service, client, ids)


async def test_everything_is_done_within_60_s_though_the_disk_vanished_under_the_running_nats(service: Running) -> None:
    async with service.client() as client:
        epoch = await service.sql(EPOCH)
        ids = await probes(client, [{"work_s": 0.5 * (n % 2)} for n in range(60)])
        _wipe_under_the_running_server(service.home)
        ids += await probes(client, [{"work_s": 0.5 * (n % 2)} for n in range(60)])
        await _all_done(service, client, ids)
        _wipe_under_the_running_server(service.home)
        await service.killed("nats")
        ids = await probes(client, [{"work_s": 0.5 * (n % 2)} for n in range(60)])
        await _all_done(service, client, ids)
        assert await service.sql(EPOCH) == epoch, "what was told before is still true"


async def test_an_old_copy_of_its_disk_does_not_ring_again_for_what_was_done_since(service: Running) -> None:
    store, copy = service.home / "nats/store", service.home / "nats/copy"
    async with service.client() as client:
        await ended(client, await probes(client, [{}] * 40))
        await service.sound()
        async with service.without_nats():
            shutil.copytree(store, copy)
        await ended(client, await probes(client, [{}] * 100))
        await service.sound()
        facts = await service.sql(FACTS)
        async with service.without_nats():
            shutil.rmtree(store)
            copy.rename(store)
        await _all_done(service, client, await probes(client, [{}] * 20))
    async with service.nats() as nats:
        await until_told(lambda: _begins_behind(nats, facts))


async def test_work_goes_on_while_nats_is_away(service: Running) -> None:
    await _hold_out(service, 20)


@pytest.mark.long
async def test_work_goes_on_while_nats_is_away_for_150_s(service: Running) -> None:
    await _hold_out(service, 150)


async def test_every_role_leaves_when_it_is_asked_to_though_nats_is_away(service: Running) -> None:
    async with service.without_nats():
        asked = service.role_pids
        assert sorted(set(asked.values())) == sorted(ROLES)
        for pid in asked:
            os.kill(pid, signal.SIGTERM)
        await until(lambda: not any(alive(pid) for pid in asked), 12)
        await until_told(lambda: _answers(service), 30, AWAY)
    said = (service.home / "talk.log").read_text()
    assert [name for pid, name in asked.items() if f"{name} {pid} ended with code 0;" not in said] == []
    await service.sound()


async def test_forged_repeated_and_shuffled_messages_have_no_effect(service: Running) -> None:
    async with service.client() as client, service.nats() as nats:
        ids = await probes(client, [{"payload": n} for n in range(10)])
        await ended(client, ids)
        await balanced(client)
        before, alive_before = await service.sql(FACTS), service.role_pids
        inbox = await _inbox_of_a_worker(nats)
        old = [
            (await nats.jetstream().get_msg("LOG", seq=n))
            for n in range(1, 1 + (await nats.jetstream().stream_info("LOG")).state.messages)
        ]
        for number, message in enumerate(reversed(old)):
            await nats.publish(inbox, message.data or b"", headers=message.headers)
            await nats.publish(queue_bell("default"), json.dumps([ids[number % 10], str(uuid4())]).encode())
            await nats.publish(queue_bell("default"), message.data or b"")
        for bell in (LOG_BELL, HEAD_BELL, queue_bell("default"), queue_bell("email"), inbox):
            for nonsense in (b"", b"\x00\xff", b"[1, null]", b'["x"]', b"{}", b"7", b"[" * 5_000, os.urandom(65_536)):
                await nats.publish(bell, nonsense)
            await nats.publish(bell, b"", headers={"Status": "409"})
        await nats.flush()
        assert [task["attempt"] for task in await ended(client, await probes(client, [{}] * 40))] == [1] * 40
        assert [(await see(client, id))["attempt"] for id in ids] == [1] * 10
        assert await service.sql(FACTS) == before + 3 * 40
        assert service.role_pids == alive_before
        await balanced(client)
    await service.sound()


async def test_a_subscriber_who_points_the_log_at_bells_and_inboxes_has_no_effect(service: Running) -> None:
    async with service.client() as client, service.nats() as admin, service.nats("nats") as nats:
        ids = await probes(client, [{"payload": n} for n in range(10)])
        await ended(client, ids)
        await balanced(client)
        before, alive_before = await service.sql(FACTS), service.role_pids
        bells = [LOG_BELL, HEAD_BELL, queue_bell("default"), queue_bell("email"), await _inbox_of_a_worker(admin)]
        for number, subject in enumerate(bells):
            pushed = ConsumerConfig(name=f"evil-{number}", deliver_subject=subject, ack_policy=AckPolicy.NONE)
            await nats.jetstream().add_consumer("LOG", pushed)
        await until_told(lambda: _delivered(nats, "evil-2", before))
        assert [task["attempt"] for task in await ended(client, await probes(client, [{}] * 40))] == [1] * 40
        assert [(await see(client, id))["attempt"] for id in ids] == [1] * 10
        assert await service.sql(FACTS) == before + 3 * 40
        assert service.role_pids == alive_before
        for number in range(len(bells)):
            await nats.jetstream().delete_consumer("LOG", f"evil-{number}")
        await balanced(client)
    await service.sound()


@pytest.mark.parametrize("damage", ["a hole", "no beginning", "nothing left"])
async def test_what_an_administrator_takes_out_of_the_log_is_told_and_filled_again(
    service: Running, damage: str
) -> None:
    async with service.client() as client, service.nats() as nats:
        await ended(client, await probes(client, [{}] * 20))
        await balanced(client)
        await service.sound()
        epoch, facts = await service.sql(EPOCH), await service.sql(FACTS)
        log = nats.jetstream()
        with ExitStack() as frozen:
            for relay in service.pids("relay"):
                frozen.enter_context(service.frozen(relay))
            if damage == "a hole":
                await log.delete_msg("LOG", facts - 2)
            else:
                await log.purge_stream("LOG", seq=facts - 15 if damage == "no beginning" else None)
            told = [line for finding in await service.findings() for line in finding.offenders]
            assert any("the stream has no message at" in line or "the stream begins at" in line for line in told), told
        await until_told(lambda: _holds(nats, facts))
        await service.sound()
        assert await service.sql(EPOCH) == epoch, "what was told before is still true"
    assert "mirror.made" in service.log("relay")


async def test_a_foreign_message_in_the_log_is_noticed_while_all_is_quiet(service: Running) -> None:
    async with service.client() as client:
        await balanced(client)
        epoch = await service.sql(EPOCH)
        await _forge(service, "events.v1.account.registered.evil")
        await until_told(lambda: _is_another(service, epoch))
        told = (await client.get("/v1/events", params={"limit": 1})).json()["epoch"]
        assert told == str(await service.sql(EPOCH)), "subscribers learn of it"
        await _all_done(service, client, await probes(client, [{}] * 20))


async def test_a_foreign_message_in_the_log_is_noticed_under_load(service: Running) -> None:
    async with service.client() as client:
        epoch = await service.sql(EPOCH)
        async with _load(client, 50) as accepted:
            await until(lambda: len(accepted) >= 20)
            await _forge(service, f"tasks.v1.default.probe.queued.{uuid4()}")
            await until_told(lambda: _is_another(service, epoch))
            await until(lambda: len(accepted) >= 60)
        await _all_done(service, client, accepted)


async def _hold_out(service: Running, seconds: float) -> None:
    """NATS away for so long, at 5 requests a second: what is asked for is accepted and done."""
    async with service.client(timeout=2.0) as client:
        async with service.without_nats(), _load(client, 5) as accepted:
            await until_told(lambda: _is_degraded(client))
            await until(lambda: bool(accepted))
            await ended(client, accepted[:1], 10)  # polling has begun
            used, began = {pid: cpu_s(pid) for pid in service.role_pids}, time.monotonic()
            first = len(accepted)
            while time.monotonic() < began + seconds:
                for path in ("/livez", "/readyz"):
                    assert (await client.get(path, timeout=1.0)).status_code == 200
                await asyncio.sleep(1)
            took_s = time.monotonic() - began
            share = {f"{name} {pid}": (cpu_s(pid) - used[pid]) / took_s for pid, name in service.role_pids.items()}
            assert len(accepted) - first >= 0.8 * 5 * took_s, "the API takes whatever comes"
            done = await ended(client, accepted[:first], 5)
            assert {task["status"] for task in done} == {"complete"}, "and work goes on meanwhile"
            print("CPU while NATS was away:", {name: f"{one:.1%}" for name, one in share.items()})
            assert max(share.values()) <= MOST_CPU, share
            assert not service.pids("nats")
        await _all_done(service, client, accepted)


@asynccontextmanager
async def _load(client: httpx.AsyncClient, each_second: float) -> AsyncIterator[list[str]]:
    """Probes, one after another, for as long as the block runs; what is given holds those that were accepted."""
    accepted: list[str] = []

    async def ask() -> None:
        while True:
            began = time.monotonic()
            task: Any = await definite(client, "/v1/tasks", {"kind": "probe", "request": {}}, str(uuid4()), 5)
            accepted.append(task["id"])
            await asyncio.sleep(max(0.0, began + 1 / each_second - time.monotonic()))

    asking = asyncio.create_task(ask())
    try:
        yield accepted
    finally:
        if not asking.cancel():
            asking.result()


async def _all_done(service: Running, client: httpx.AsyncClient, ids: list[str]) -> None:
    """All of them within a minute, and the stream equal to the log again."""
    deadline = time.monotonic() + OUTCOMES_S
    assert {task["status"] for task in await ended(client, ids, OUTCOMES_S)} == {"complete"}
    await balanced(client)
    await service.sound(deadline - time.monotonic())
    await until_told(lambda: _is_ready(client), deadline - time.monotonic())


async def _is_ready(client: httpx.AsyncClient) -> bool:
    """Every client of NATS dials again in a rhythm of its own."""
    answer = (await client.get("/readyz")).raise_for_status().json()
    return bool(answer["status"] == answer["checks"]["nats"] == "ok")


async def _answers(service: Running) -> bool:
    async with service.client(timeout=2.0) as client:
        return (await client.get("/readyz")).is_success


async def _is_degraded(client: httpx.AsyncClient) -> bool:
    answer = await client.get("/readyz")
    assert answer.status_code == 200
    return bool(answer.json()["status"] == "degraded")


async def _is_another(service: Running, epoch: Any) -> bool:
    return bool(await service.sql(EPOCH) != epoch)


async def _holds(nats: Any, messages: int) -> bool:
    try:
        return bool((await nats.jetstream().stream_info("LOG")).state.messages == messages)
    except NotFoundError:  # just now it is being made anew
        return False


async def _begins_behind(nats: Any, position: int) -> bool:
    told = (await nats.jetstream().consumer_info("LOG", durable("default"))).config
    return bool((told.opt_start_seq or 0) > position)


async def _delivered(nats: Any, consumer: str, count: int) -> bool:
    return bool((await nats.jetstream().consumer_info("LOG", consumer)).delivered.consumer_seq >= count)


async def _forge(service: Running, subject: str) -> None:
    async with service.nats() as nats:
        await nats.jetstream().publish(subject, b"{}")


async def _inbox_of_a_worker(nats: Any) -> str:
    """Where a worker waits for its bells: told by its own request."""
    heard = await nats.subscribe(f"$JS.API.CONSUMER.MSG.NEXT.LOG.{durable('default')}", max_msgs=1)
    return str((await heard.next_msg(timeout=10)).reply)


def _wipe_under_the_running_server(home: Path) -> None:
    store = home / "nats/store/jetstream"
    for part in store.iterdir():
        shutil.rmtree(part, ignore_errors=True)
