"""Fetching bells from a durable: as many as there are free slots, handed on as they come.

FastStream's own pull loop waits for the slowest of a batch and spins where its consumer is gone: this one is ours."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import NamedTuple
from uuid import UUID, uuid4

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error

from adapters.nats.names import STREAM, durable
from adapters.nats.raw import send

logger = structlog.get_logger()
EXPIRES_S = 5.0
PAUSE_S = 1.0

NEWEST = 2**31  # the version of a bell that tells none


class Bell(NamedTuple):
    """A task was queued: the fact that says so is this version of its stream."""

    task: UUID
    version: int
    reply: str  # where it is acknowledged


async def acknowledge(client: Client, bells: Sequence[Bell]) -> None:
    """Tell the stream that these bells need not ring again; an acknowledgement is an empty message."""
    await send(client, b"".join([b"PUB %b 0\r\n\r\n" % bell.reply.encode() for bell in bells]))


class Fetcher:
    """One durable's pull requests, one at a time."""

    def __init__(self, client: Client, queue: str, inbox: str) -> None:
        self._client, self._queue = client, queue
        self._inbox = f"{inbox}.{uuid4().hex}"
        self._arrived: asyncio.Queue[Msg] = asyncio.Queue()

    async def run(self, wanted: Callable[[], Awaitable[int]], hear: Callable[[list[Bell]], None]) -> None:
        """Until cancelled: ask for as many bells as are wanted, hand them on as they arrive.

        `wanted` answers when there is a free slot. An error is logged and followed by a pause, never by a spin."""
        subscription = await self._client.subscribe(self._inbox, cb=self._arrived.put)
        try:
            while True:
                await self._fetch(await wanted(), hear)
        finally:
            if self._client.is_connected:
                await subscription.unsubscribe()

    async def _fetch(self, most: int, hear: Callable[[list[Bell]], None]) -> None:
        if not self._client.is_connected:
            await asyncio.sleep(PAUSE_S)
            return
        request = json.dumps({"batch": most, "expires": int(EXPIRES_S * 1e9)}).encode()
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{durable(self._queue)}"
        await self._client.publish(subject, request, reply=self._inbox)
        left = most
        try:
            async with asyncio.timeout(EXPIRES_S + 1):
                while left > 0:
                    messages = await self._gathered()
                    carried = [message for message in messages if _status(message) is None]
                    left -= len(carried)
                    if bells := [bell for message in carried if (bell := await _bell(message)) is not None]:
                        hear(bells)
                    ended = [status for message in messages if (status := _status(message)) not in (None, "100")]
                    if ended:
                        if ended[-1] != "408":  # 404, 409, 503: no consumer, no stream, no answer
                            logger.info("fetch.refused", queue=self._queue, status=ended[-1])
                            await asyncio.sleep(PAUSE_S)
                        return
        except TimeoutError:
            logger.info("fetch.silent", queue=self._queue)

    async def _gathered(self) -> list[Msg]:
        """What has arrived, at least one."""
        messages = [await self._arrived.get()]
        while not self._arrived.empty():
            messages.append(self._arrived.get_nowait())
        return messages


def _status(message: Msg) -> str | None:
    """What the server says of the request itself; None for a message that the stream holds."""
    return None if message.data else (message.headers or {}).get("Status")


async def _bell(message: Msg) -> Bell | None:
    """The bell; None for a message that names no task: it is not ours, and is not to be delivered again."""
    with suppress(ValueError):
        if message.subject.startswith("tasks."):  # and not by our inbox, whose name ends like an id
            version = int((message.headers or {}).get("ce-sequence", NEWEST))
            return Bell(UUID(message.subject.rpartition(".")[2]), version, message.reply)
    logger.warning("fetch.foreign", subject=message.subject)
    try:
        await message.ack()
    except Error as error:  # it was never in the stream, or the connection broke and it comes again
        logger.info("fetch.ack_lost", error=str(error))
    return None
