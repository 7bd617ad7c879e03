"""The stream LOG on a real server: its settings, its publishes, and what it cannot take."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import nats
import pytest
from msgspec import structs
from nats.aio.client import Client

from adapters.nats import replay
from adapters.nats.api import WRONG_LAST_SEQUENCE, ApiError, call
from adapters.nats.stream import FEW, Limits, LogStream
from domain.mirror import Line, begins_late, missing
from infra.embedded.servers import Servers
from tests.waiting import until_told

LIMITS = Limits(max_bytes=64 * 1024 * 1024, max_age_s=3_600.0)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def lines(first: int, count: int, payload: bytes = b"{}") -> list[Line]:
    ids = [str(uuid4()) for _ in range(count)]
    subject = "events.v1.test.happened"
    return [Line(first + n, id, f"{subject}.{id}", {"ce-id": id}, payload, LONG_AGO) for n, id in enumerate(ids)]


@pytest.fixture
async def client(servers: Servers) -> AsyncIterator[Client]:
    client = await nats.connect(servers.nats_url("relay"), inbox_prefix="_INBOX_relay")
    yield client
    await LogStream(client, LIMITS).delete()
    await client.close()


async def stored(client: Client, first: int, last: int) -> list[tuple[int, str]]:
    return [one async for one in replay.ids(client, first, last, "_INBOX_relay")]


@pytest.mark.parametrize("count", [1, FEW, FEW + 1, 1_000])
async def test_the_sequence_is_the_position_for_few_and_for_many(client: Client, count: int) -> None:
    stream = LogStream(client, LIMITS)
    await stream.create(first=42, epoch="e")
    told = lines(42, count)
    await stream.publish(told, last=41)
    assert await stored(client, 42, 41 + count) == [(line.position, line.id) for line in told]
    assert (await stream.id_at(42), await stream.id_at(42 + count)) == (told[0].id, None)


@pytest.mark.parametrize("count", [3, FEW + 3])
async def test_a_foreign_message_keeps_all_that_follow_out(client: Client, count: int) -> None:
    stream = LogStream(client, LIMITS)
    await stream.create(first=1, epoch="e")
    await client.jetstream().publish("events.v1.foreign.thing.x", b"forged")
    with pytest.raises(ApiError) as refused:
        await stream.publish(lines(1, count), last=0)
    assert refused.value.code == WRONG_LAST_SEQUENCE
    state = await stream.state()
    assert state is not None and state.last == 1 and await stream.id_at(1) == ""


@pytest.mark.parametrize("count", [3, FEW + 3])
async def test_what_the_server_cannot_take_is_told_as_a_stub(client: Client, count: int) -> None:
    stream = LogStream(client, LIMITS)
    await stream.create(first=1, epoch="e")
    told = lines(1, count)
    told[1] = structs.replace(told[1], payload=b'"' + b"x" * client.max_payload + b'"')
    await stream.publish(told, last=0)
    message = await client.jetstream().get_msg("LOG", 2)
    assert message.headers is not None
    assert (message.headers["Postcommit-Stub"], message.headers["ce-id"], message.data) == ("1", told[1].id, b"null")


async def test_changed_settings_reach_a_stream_that_is_there(client: Client) -> None:
    await LogStream(client, LIMITS).create(first=7, epoch="e")
    assert not await LogStream(client, LIMITS).bring_up_to_date()
    assert await LogStream(client, replace(LIMITS, max_age_s=60.0)).bring_up_to_date()
    config = (await call(client, "STREAM.INFO.LOG"))["config"]
    assert (config["max_age"], config["metadata"]["epoch"]) == (60_000_000_000, "e")


async def test_a_limit_of_0_is_no_limit(client: Client) -> None:
    unlimited = LogStream(client, Limits(max_bytes=0, max_age_s=0.0))
    await unlimited.create(first=1, epoch="e")
    assert not await unlimited.bring_up_to_date()
    config = (await call(client, "STREAM.INFO.LOG"))["config"]
    assert (config["max_bytes"], config["max_age"]) == (-1, 0)


async def test_what_was_purged_or_deleted_is_missing_and_what_size_discarded_is_not(client: Client) -> None:
    stream = LogStream(client, LIMITS)
    await stream.create(first=7, epoch="e")
    await stream.publish(lines(7, 10), last=6)
    assert await told_missing(stream) is None
    await call(client, "STREAM.PURGE.LOG", {"seq": 9})
    assert await told_missing(stream) == "the stream begins at 9, and neither age nor size took 8"
    await call(client, "STREAM.MSG.DELETE.LOG", {"seq": 12})
    assert await told_missing(stream) == "the stream has 7 of the 8 messages from 9 to 16"
    await call(client, "STREAM.PURGE.LOG")
    assert await told_missing(stream) == "the stream begins at 17, and neither age nor size took 16"
    await stream.delete()
    small = LogStream(client, replace(LIMITS, max_bytes=8 * 1024 * 1024))
    await small.create(first=1, epoch="e")
    for last in range(0, 20):
        await small.publish(lines(last + 1, 1, b"x" * 1024 * 1024), last)
    state = await small.state()
    assert state is not None and state.first > 10 and await told_missing(small) is None


async def test_what_age_took_is_not_missing_also_when_the_limits_change_afterwards(client: Client) -> None:
    short = LogStream(client, replace(LIMITS, max_age_s=1.0))
    await short.create(first=1, epoch="e")
    await short.publish(lines(1, 10), last=0)

    async def gone() -> bool:
        state = await short.state()
        return state is not None and state.messages == 0

    await until_told(gone)
    assert await told_missing(short) is None
    assert await LogStream(client, LIMITS).bring_up_to_date()
    assert await told_missing(short) is None


async def told_missing(stream: LogStream) -> str | None:
    state = await stream.state()
    assert state is not None
    return missing(state) or begins_late(state, LONG_AGO)
