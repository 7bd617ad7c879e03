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

from adapters.nats.names import STREAM, durable
from adapters.nats.raw import header, receive, send

logger = structlog.get_logger()
EXPIRES_S = 5.0
PAUSE_S = 1.0
NEWEST = 2**31  # the version of a bell that tells none
NOBODY = UUID(int=0)
STATUS = b"NATS/1.0 "  # how the headers of an answer begin that is about the request itself


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
        self._bells: list[Bell] = []
        self._foreign: list[Bell] = []  # messages that name no task, under an id of no meaning
        self._ended: bytes = b""  # what the server said of the request, once it is over
        self._arrived = asyncio.Event()

    async def run(self, wanted: Callable[[], Awaitable[int]], hear: Callable[[list[Bell]], None]) -> None:
        """Until cancelled: ask for as many bells as are wanted, hand them on as they arrive.

        `wanted` answers when there is a free slot. An error is logged and followed by a pause, never by a spin."""
        subscription = await receive(self._client, self._inbox, self._take)
        try:
            while True:
                await self._fetch(await wanted(), hear)
        finally:
            if self._client.is_connected:
                await subscription.unsubscribe()

    def _take(self, subject: bytes, reply: bytes, headers: bytes, payload: bytes) -> None:
        if not payload and headers.startswith(STATUS):
            if (status := headers[len(STATUS) :][:3]) != b"100":
                self._ended = status
        else:
            bell = _bell(subject, reply, headers)
            (self._bells if bell.task != NOBODY else self._foreign).append(bell)
        self._arrived.set()

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
                    await self._arrived.wait()
                    self._arrived.clear()
                    left -= await self._hand_on(hear)
                    if ended := self._ended:
                        self._ended = b""
                        if ended != b"408":  # 404, 409, 503: no consumer, no stream, no answer
                            logger.info("fetch.refused", queue=self._queue, status=ended.decode(errors="replace"))
                            await asyncio.sleep(PAUSE_S)
                        return
        except TimeoutError:
            logger.info("fetch.silent", queue=self._queue)

    async def _hand_on(self, hear: Callable[[list[Bell]], None]) -> int:
        """What has arrived. Messages that are not ours are not to be delivered again."""
        bells, self._bells = self._bells, []
        foreign, self._foreign = self._foreign, []
        if bells:
            hear(bells)
        if foreign:
            logger.warning("fetch.foreign", queue=self._queue, messages=len(foreign))
            await acknowledge(self._client, [bell for bell in foreign if bell.reply])
        return len(bells) + len(foreign)


def _bell(subject: bytes, reply: bytes, headers: bytes) -> Bell:
    """The bell; of NOBODY where the message names no task."""
    task, version = NOBODY, NEWEST
    with suppress(ValueError):
        if subject.startswith(b"tasks."):  # and not by our inbox, whose name ends like an id
            task = UUID(subject.rpartition(b".")[2].decode())
            version = int(header(headers, b"ce-sequence") or NEWEST)
    return Bell(task, version, reply.decode(errors="replace"))
