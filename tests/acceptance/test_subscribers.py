"""Does a foreign subscriber hear everything, in order, whoever commits late?"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest
from nats.js.api import ConsumerConfig, DeliverPolicy

from adapters.postgres.request import request
from domain.probe import KIND, Request
from tests.acceptance.running import Running, balanced, ended, probes
from tests.waiting import until

Heard = list[tuple[int, str]]  # (position, subject)


async def test_a_transaction_that_was_held_open_reaches_a_subscriber_in_position_order(service: Running) -> None:
    await _commit_around_an_open_transaction(service, held_s=3, tasks=300)


@pytest.mark.long
async def test_a_transaction_that_was_held_open_for_10_s_is_passed_by_1000_others_in_position_order(
    service: Running,
) -> None:
    await _commit_around_an_open_transaction(service, held_s=10, tasks=1_000)


async def _commit_around_an_open_transaction(service: Running, held_s: float, tasks: int) -> None:
    async with service.client() as client, _subscribed(service) as heard:
        connection = await asyncpg.connect(service.told["postgres"])
        try:
            async with connection.transaction():
                late = str(await request(connection, KIND, Request(payload="late")))
                ids = [id for _ in range(tasks // 50) for id in await probes(client, [{}] * 50)]
                await ended(client, ids)
                await asyncio.sleep(held_s)
                assert not [subject for _, subject in heard if subject.endswith(late)], "it is not committed"
        finally:
            await connection.close()
        await ended(client, [late])
        await balanced(client)
        head = await service.sql("SELECT max(position) FROM postcommit.ledger")
        await until(lambda: bool(heard) and heard[-1][0] >= head)
    assert [position for position, _ in heard] == list(range(1, head + 1))
    told = Counter(subject.rpartition(".")[2] for _, subject in heard)
    assert {told[id] for id in (late, *ids)} == {3}, "queued, started, completed"
    order = [subject.split(".")[4] for _, subject in heard if subject.endswith(late)]
    assert order == ["queued", "started", "completed"]
    await service.sound()


@asynccontextmanager
async def _subscribed(service: Running) -> AsyncIterator[Heard]:
    """A subscriber of everything from the start, with the rights of a subscriber only."""
    heard: Heard = []

    async def hear(message: object) -> None:
        heard.append((message.metadata.sequence.stream, message.subject))  # type: ignore[attr-defined]

    async with service.nats("nats") as nats:
        from_the_start = ConsumerConfig(name=f"test-{uuid4()}", deliver_policy=DeliverPolicy.ALL)
        await nats.jetstream().subscribe(">", stream="LOG", ordered_consumer=True, config=from_the_start, cb=hear)
        yield heard
