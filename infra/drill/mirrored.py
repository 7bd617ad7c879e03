"""What NATS holds, asked as administrator and past the proxy."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from adapters.nats.names import STREAM, consumer
from infra.asking import unheard
from infra.drill.service import Service

TRIES_S, ANSWER_S = 30.0, 5.0


@asynccontextmanager
async def connected(service: Service) -> AsyncIterator[Client]:
    """A connection, as soon as NATS takes one. Raises TimeoutError where it takes none for half a minute."""
    async with asyncio.timeout(TRIES_S):
        while True:
            try:
                client = await nats.connect(service.run["nats_admin"], allow_reconnect=False, error_cb=unheard)
                break
            except (OSError, NatsError, TimeoutError):
                await asyncio.sleep(0.1)
    try:
        yield client
    finally:
        with suppress(NatsError, OSError, TimeoutError):
            await client.close()


async def last_in_stream(service: Service) -> int:
    """The sequence of its last message; 0 where there is no stream. Raises what NATS raises."""
    async with connected(service) as client:
        try:
            return int((await client.jetstream(timeout=ANSWER_S).stream_info(STREAM)).state.last_seq)
        except NotFoundError:
            return 0


async def behind(service: Service, names: Iterable[str]) -> list[str]:
    """Those of the registered consumers that have something left to be handed or to acknowledge, or no durable. Raises
    what NATS raises."""
    found = []
    async with connected(service) as client:
        for name in names:
            try:
                told = await client.jetstream(timeout=ANSWER_S).consumer_info(STREAM, consumer(name))
            except NotFoundError:
                found.append(name)
            else:
                found += [name] if told.num_pending or told.num_ack_pending else []
    return found
