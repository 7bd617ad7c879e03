"""Do consumers see each event once, whatever is killed and wiped? Do their commands do what the page says: with an
embedded NATS, and with a server of one's own?"""

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
from jsonschema import Draft202012Validator

from adapters.nats import registered
from adapters.nats.stream import Limits, LogStream
from domain.cloudevents import ALWAYS
from infra.accounts import rights
from infra.app import QUEUES
from infra.deploy.files import HERE, password_of
from infra.embedded.binaries import nats_server
from infra.embedded.home import HOST, free_port
from tests.acceptance.running import Running, up
from tests.acceptance.story import ALL, EXAMPLES_OF, PERSON, Missing, Story, lived
from tests.acceptance.test_command_line import fits, ran, read
from tests.waiting import until_told

ORDERS = "events.v1.order.>"
OTHER = f"The consumer accounting has the filter {ORDERS}, not events.v1.>: remove it first, or take another name.\n"
AWAY = (OSError, nats.errors.Error, TimeoutError)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with up(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture(scope="module")
def story(service: Running, tmp_path_factory: pytest.TempPathFactory) -> Story:
    return asyncio.run(lived(service, tmp_path_factory))


@pytest.mark.parametrize("name", EXAMPLES_OF)
def test_an_example_sees_each_order_event_once_though_it_starts_late_is_killed_and_the_stream_is_wiped(
    story: Story, name: str
) -> None:
    program, wanted = story.programs[name], story.facts["order"]
    if isinstance(program, Missing):
        pytest.skip(str(program))
    missing = [row for row in wanted if row not in program.rows]
    assert program.rows == wanted, f"missing: {missing}, of {len(wanted)}; it said: {program.said}"
    assert len(wanted) == ALL


@pytest.mark.parametrize("name", ["events", "tasks"])
def test_a_consumer_written_from_the_page_alone_misses_nothing_and_keeps_nothing_twice(story: Story, name: str) -> None:
    reader = story.readers[name]
    assert sorted(reader.order) == [tuple(row) for row in story.facts[name]]
    positions = {position for reader in story.readers.values() for position, _ in reader.order}
    assert positions == set(range(1, len(positions) + 1)), "both filters together are the whole log"


def test_what_comes_for_the_first_time_comes_in_order_and_the_sequence_of_a_thing_has_no_gap(story: Story) -> None:
    told = list(story.readers["events"].kept.values())
    things: dict[str, list[int]] = {}
    for one in sorted(told, key=lambda one: one.position):
        things.setdefault(one.headers["ce-subject"], []).append(int(one.headers["ce-sequence"]))
    assert all(sequence == list(range(1, len(sequence) + 1)) for sequence in things.values())
    assert len(things) > 25


def test_every_message_is_a_whole_cloud_event_and_its_payload_fits_the_schema_that_it_names(story: Story) -> None:
    for reader in story.readers.values():
        for told in reader.kept.values():
            assert {name.lower() for name in ALWAYS} <= told.headers.keys()
            assert told.headers["ce-type"].rpartition(".v")[0].partition(".")[0] in told.headers["ce-subject"]
            schema = story.schemas[told.headers["ce-dataschema"]]
            assert schema["title"] == told.headers["ce-type"]
            assert list(Draft202012Validator(schema).iter_errors(told.payload)) == []
    assert {"account.registered.v1", "order.created.v1", "task.completed.v1", "consumer.added.v1"} <= {
        schema["title"] for schema in story.schemas.values()
    }


def test_nothing_personal_is_told(story: Story) -> None:
    told = [str(one) for reader in story.readers.values() for one in reader.kept.values()]
    assert told and not [one for one in told if PERSON["email"] in one or PERSON["name"] in one]


def test_a_durable_that_is_lost_with_the_stream_begins_where_its_consumer_was(story: Story) -> None:
    assert story.made_anew > 1


# The commands.


async def facts(service: Running, name: str) -> list[tuple[str, str]]:
    """Event and actor of what is told of the consumer."""
    rows = await service.sql(
        "SELECT json_agg(json_build_array(name, meta ->> 'actor') ORDER BY stream, version) FROM postcommit.events "
        "WHERE data ->> 'name' = $1 AND name LIKE 'consumer.%'",
        name,
    )
    return [(event, actor.partition("/")[0]) for event, actor in json.loads(rows or "[]")]


async def test_a_consumer_is_added_once_listed_and_removed(service: Running) -> None:
    added = read(service, "consumers add", "accounting", "--filter", ORDERS)
    assert (added["durable"], added["inbox_prefix"]) == ("consumer-accounting", "_INBOX_accounting")
    assert read(service, "consumers add", "accounting", "--filter", ORDERS) == added, "twice is once"
    assert ran(service, "consumers", "add", "accounting", "--filter", "events.v1.>") == (5, "", OTHER)
    client = await nats.connect(added["url"], inbox_prefix=added["inbox_prefix"])
    bound = await client.jetstream().pull_subscribe_bind(added["durable"], stream=added["stream"])
    assert (await bound.consumer_info()).config.filter_subject == ORDERS

    listed = read(service, "consumers list")
    assert ("accounting", ORDERS) in [(one["name"], one["filter"]) for one in listed["items"]]
    code, out, said = ran(service, "consumers", "list")
    assert code == 0 and re.search(rf"^accounting +{re.escape(ORDERS)} +\d+ +20", out, re.MULTILINE)
    assert re.search(r"^The log ends at \d+\.$", said, re.MULTILINE)

    assert ran(service, "consumers", "remove", "accounting") == (0, "", "The consumer accounting is removed.\n")
    assert ran(service, "consumers", "remove", "accounting")[0] == 0, "twice is once"
    await until_told(lambda: _closed(client))
    assert "accounting" not in [one["name"] for one in read(service, "consumers list")["items"]]
    assert await facts(service, "accounting") == [("consumer.added", "cli"), ("consumer.removed", "cli")]


async def _closed(client: Any) -> bool:
    return not client.is_connected


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("add", "a.b", "--filter", ORDERS), 2, "The name of a consumer cannot be 'a.b': a name is 1 to 64"),
        (("add", "bad", "--filter", ">"), 2, "The filter of a consumer cannot be '>': it should begin with events.v1."),
        (("remove", "nobody"), 3, "There is no consumer 'nobody'."),
    ],
)
async def test_what_cannot_be_is_told_in_a_sentence_and_stores_nothing(
    service: Running, words: tuple[str, ...], code: int, said: str
) -> None:
    before = await service.sql("SELECT count(*) FROM postcommit.events WHERE name LIKE 'consumer.%'")
    ended, out, told = ran(service, "consumers", *words)
    assert (ended, out) == (code, "") and said in told and told.count("\n") == 1
    assert await service.sql("SELECT count(*) FROM postcommit.events WHERE name LIKE 'consumer.%'") == before


async def test_many_who_add_one_consumer_at_once_make_one(service: Running) -> None:
    told = await asyncio.gather(
        *(asyncio.to_thread(read, service, "consumers add", "busy", "--filter", ORDERS) for _ in range(2))
    )
    assert told[0] == told[1]
    assert await facts(service, "busy") == [("consumer.added", "cli")]


async def test_a_server_of_ones_own_lets_a_consumer_in_by_the_lines_that_are_printed(
    service: Running, tmp_path: Path
) -> None:
    """The steps of docs/consuming-events.md, on a copy of infra/deploy/nats.conf."""
    port, file = free_port(), tmp_path / "nats.conf"
    file.write_text((HERE / "nats.conf").read_text())
    server = started(file, port)
    try:
        relay = await until_told(lambda: connected(port, "relay", "_INBOX_relay"), 20, AWAY)
        stream = LogStream(relay, Limits(max_bytes=2**26, max_age_s=3_600.0))
        await until_told(lambda: _made(stream), 20, AWAY)

        told = added_without_home(service, port)
        await registered.make(relay, "own", ORDERS, 1)  # the relay of this server would
        await relay.jetstream().publish("events.v1.order.created.1", b"{}")
        await relay.jetstream().publish("events.v1.account.registered.1", b"{}")

        file.write_text(pasted(file.read_text(), told))
        assert checked(file) == 0
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
        assert await registered.find(relay, "own") == registered.Durable(ORDERS, 1, 1)
        for one in (client, subscriber, relay):
            await one.close()
    finally:
        server.terminate()
        server.wait(20)


PASSWORDS = {password_of(user): f"secret-of-{user}" for user in rights(QUEUES)}


def started(conf: Path, port: int) -> "subprocess.Popen[bytes]":
    where = ["-sd", str(conf.parent / "store"), "--addr", HOST, "--port", str(port), "--http_port", str(free_port())]
    with conf.with_suffix(".log").open("wb") as log:
        argv = [str(nats_server()), "-c", str(conf), *where]
        return subprocess.Popen(argv, env=os.environ | PASSWORDS, stdout=log, stderr=log)


def checked(conf: Path) -> int:
    """The exit code of the server's own look at its configuration."""
    return subprocess.run([str(nats_server()), "-t", "-c", str(conf)], env=os.environ | PASSWORDS).returncode


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
