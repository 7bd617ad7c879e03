"""Do the commands of consumers do what their page says: with an embedded NATS, and with a server of one's own?"""

import asyncio
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats
import pytest

from adapters.nats import registered
from adapters.nats.stream import Limits, LogStream
from infra.app import QUEUES
from infra.deploy.files import HERE, password_of
from infra.embedded.binaries import nats_server
from infra.embedded.home import HOST, free_port
from infra.embedded.nats import rights
from tests.acceptance.running import Running, up
from tests.acceptance.test_command_line import fits, ran, read
from tests.waiting import until_told

ORDERS = "events.v1.order.>"
AWAY = (OSError, nats.errors.Error, TimeoutError)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with up(tmp_path_factory.mktemp("service")) as running:
        yield running


async def facts(service: Running, name: str) -> list[tuple[str, str]]:
    """Event and actor of what is told of the consumer."""
    rows = await service.sql(
        "SELECT json_agg(json_build_array(name, meta ->> 'actor') ORDER BY stream, version) FROM postcommit.events "
        "WHERE data ->> 'name' = $1 AND name LIKE 'consumer.%'",
        name,
    )
    return [(event, actor.partition("/")[0]) for event, actor in json.loads(rows or "[]")]


async def test_a_consumer_is_added_once_listed_and_removed(service: Running) -> None:
    added = read(service, "consumers add", "billing", "--filter", ORDERS)
    assert (added["durable"], added["inbox_prefix"]) == ("consumer-billing", "_INBOX_billing")
    assert read(service, "consumers add", "billing", "--filter", ORDERS) == added, "twice is once"
    client = await nats.connect(added["url"], inbox_prefix=added["inbox_prefix"])
    bound = await client.jetstream().pull_subscribe_bind(added["durable"], stream=added["stream"])
    assert (await bound.consumer_info()).config.filter_subject == ORDERS

    listed = read(service, "consumers list")
    assert [(one["name"], one["filter"]) for one in listed["items"]] == [("billing", ORDERS)]
    code, out, said = ran(service, "consumers", "list")
    assert code == 0 and re.search(rf"^billing +{re.escape(ORDERS)} +\d+ +20", out, re.MULTILINE)
    assert re.search(r"^The log ends at \d+\.$", said, re.MULTILINE)

    assert ran(service, "consumers", "remove", "billing") == (0, "", "The consumer billing is removed.\n")
    assert ran(service, "consumers", "remove", "billing")[0] == 0, "twice is once"
    await until_told(lambda: _closed(client))
    assert read(service, "consumers list")["items"] == []
    assert await facts(service, "billing") == [("consumer.added", "cli"), ("consumer.removed", "cli")]


async def _closed(client: Any) -> bool:
    return not client.is_connected


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("add", "a.b", "--filter", ORDERS), 2, "The name of a consumer cannot be 'a.b': a name is 1 to 64"),
        (("add", "bad", "--filter", ">"), 2, "The filter of a consumer cannot be '>': it should begin with events.v1."),
        (("add", "bad", "--filter", "events.v1.order"), 2, "subjects of events.v1 have 5 parts, and it has 3"),
        (("remove", "nobody"), 3, "There is no consumer 'nobody'."),
        (("remove", "a b"), 3, "There is no consumer 'a b': a name is 1 to 64"),
    ],
)
async def test_what_cannot_be_is_told_in_a_sentence_and_stores_nothing(
    service: Running, words: tuple[str, ...], code: int, said: str
) -> None:
    before = await service.sql("SELECT count(*) FROM postcommit.events WHERE name LIKE 'consumer.%'")
    ended, out, told = ran(service, "consumers", *words)
    assert (ended, out) == (code, "") and said in told and told.count("\n") == 1
    assert await service.sql("SELECT count(*) FROM postcommit.events WHERE name LIKE 'consumer.%'") == before


def test_another_filter_of_one_name_is_a_conflict(service: Running) -> None:
    read(service, "consumers add", "steady", "--filter", ORDERS)
    code, out, said = ran(service, "consumers", "add", "steady", "--filter", "events.v1.>")
    assert (code, out) == (5, "")
    assert said == (
        f"The consumer steady has the filter {ORDERS}, not events.v1.>: remove it first, or take another name.\n"
    )


async def test_many_who_add_one_consumer_at_once_make_one(service: Running) -> None:
    told = await asyncio.gather(
        *(asyncio.to_thread(read, service, "consumers add", "busy", "--filter", ORDERS) for _ in range(3))
    )
    assert told[0] == told[1] == told[2]
    assert await facts(service, "busy") == [("consumer.added", "cli")]


async def test_a_server_of_ones_own_lets_a_consumer_in_by_the_lines_that_are_printed(
    service: Running, tmp_path: Path
) -> None:
    """The steps of docs/consuming-events.md, on a copy of infra/deploy/nats.conf."""
    port, file = free_port(), tmp_path / "nats.conf"
    file.write_text((HERE / "nats.conf").read_text())
    passwords = {password_of(user): f"secret-of-{user}" for user in rights(QUEUES)}
    argv = [str(nats_server()), "-c", str(file), "-sd", str(tmp_path / "store")]
    own = ["--addr", HOST, "--port", str(port), "--http_port", str(free_port())]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen([*argv, *own], env=os.environ | passwords, stdout=log, stderr=log)
    try:
        relay = await until_told(lambda: connected(port, "relay", "_INBOX_relay"), 20, AWAY)
        stream = LogStream(relay, Limits(max_bytes=2**26, max_age_s=3_600.0))
        await until_told(lambda: _made(stream), 20, AWAY)

        told = added_without_home(service, port)
        await registered.make(relay, "own", ORDERS, 1)  # the relay of this server would
        await relay.jetstream().publish("events.v1.order.created.1", b"{}")
        await relay.jetstream().publish("events.v1.account.registered.1", b"{}")

        file.write_text(pasted(file.read_text(), told))
        checked = subprocess.run([*argv, "-t"], env=os.environ | passwords, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr
        for _ in range(2):  # as the page says
            server.send_signal(signal.SIGHUP)
            await until_told(lambda: let_in(told), 10, AWAY)

        client = await nats.connect(told["url"], inbox_prefix=told["inbox_prefix"], error_cb=_unheard)
        bound = await client.jetstream().pull_subscribe_bind(told["durable"], stream=told["stream"])
        [message] = await until_told(lambda: bound.fetch(1, timeout=1), 10, AWAY)
        assert message.subject == "events.v1.order.created.1"
        await message.ack_sync()
        for call in ("CONSUMER.INFO.LOG.worker-default-v1", "STREAM.DELETE.LOG", "CONSUMER.DELETE.LOG.consumer-own"):
            with pytest.raises(AWAY):
                await client.request(f"$JS.API.{call}", b"", timeout=0.3)
        subscriber = await connected(port, "subscriber", "_INBOX")
        with pytest.raises(AWAY):
            await subscriber.request("$JS.API.CONSUMER.DELETE.LOG.consumer-own", b"", timeout=0.3)
        assert await registered.find(relay, "own") == registered.Durable(ORDERS, 1)
        for one in (client, subscriber, relay):
            await one.close()
    finally:
        server.terminate()
        server.wait(20)


def added_without_home(service: Running, port: int) -> dict[str, Any]:
    environ = {"POSTCOMMIT_POSTGRES": service.told["postgres"], "POSTCOMMIT_NATS": f"nats://api:x@{HOST}:{port}"}
    code, out, said = ran(None, "consumers", "add", "own", "--filter", ORDERS, **environ)
    assert code == 0 and out.count('"CONSUMER_own"') == 5 and "kept nowhere else" in said
    code, out, said = ran(None, "consumers", "add", "own", "--filter", ORDERS, "--json", **environ)
    assert (code, said) == (0, "")
    told: dict[str, Any] = json.loads(out)
    fits("consumers add", told)
    assert told["url"].endswith(f"@{HOST}:{port}")
    return told


def pasted(conf: str, told: dict[str, Any]) -> str:
    """The three pieces, where the page says."""
    conf = conf.replace("accounts {\n", f"accounts {{\n{told['accounts']}\n", 1)
    conf = conf.replace("exports: [\n", f"exports: [\n{told['exports']}\n", 1)
    before, user, after = conf.partition('{ user: "subscriber"')
    denied = ", ".join(f'"{subject}"' for subject in told["denied"])
    return before + user + after.replace("deny: [", f"deny: [{denied}, ", 1)


async def connected(port: int, user: str, inbox: str) -> Any:
    url = f"nats://{user}:secret-of-{user}@{HOST}:{port}"
    return await nats.connect(url, inbox_prefix=inbox, allow_reconnect=False, connect_timeout=1, error_cb=_unheard)


async def let_in(told: dict[str, Any]) -> bool:
    client = await nats.connect(told["url"], allow_reconnect=False, connect_timeout=1, error_cb=_unheard)
    await client.close()
    return True


async def _made(stream: LogStream) -> bool:
    await stream.create(first=1, epoch="e")
    return True


async def _unheard(_: Exception) -> None:
    """Refusals are a subject here."""
