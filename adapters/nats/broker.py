"""The connection to NATS. FastStream owns it; while NATS is away everything else goes on."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import structlog
from faststream.nats import NatsBroker
from faststream.nats.broker.broker import UNRECOVERABLE_CONNECT_ERRORS
from faststream.security import BaseSecurity, SASLPlaintext
from nats.aio.client import Client

from adapters.nats.names import addresses
from adapters.nats.raw import Hear, receive

logger = structlog.get_logger()
APART_S = 0.005


class Link:
    """A connection that is made in the background, so that no role waits for NATS, and that never gives up.

    `urls` are the servers of one cluster, with commas between them. `role` is the user's: its private inboxes begin
    with _INBOX_<role>. Where the server closes the connection for good (the password was changed, say), the process is
    asked to end, so that it is started again and says why."""

    def __init__(self, urls: str, role: str, name: str) -> None:
        servers, security = _login(urls)
        self._role = role
        self._starting: asyncio.Task[None] | None = None
        self._closing = False
        self._ringing: set[asyncio.Task[None]] = set()
        self._heard: dict[str, Callable[[bytes], None]] = {}
        self._due: set[str] = set()  # bells that are rung soon
        self._rung: dict[str, float] = {}  # when they were rung last
        self.broker = NatsBroker(
            servers,
            security=security,
            name=name,
            inbox_prefix=f"_INBOX_{role}",
            max_reconnect_attempts=-1,
            reconnect_time_wait=1,
            connect_timeout=2,
            ping_interval=5,
            max_outstanding_pings=2,
            drain_timeout=2,
            pending_size=4 * 1024 * 1024,
            error_cb=self._failed,
            closed_cb=self._closed,
            logger=None,
        )

    async def _failed(self, error: Exception) -> None:
        logger.warning("nats.error", role=self._role, error=str(error) or type(error).__name__)
        if str(error).removeprefix("nats: ").strip("'").lower() in UNRECOVERABLE_CONNECT_ERRORS:
            await self._closed()  # FastStream raises this one where the driver reconnects, which then never tries again

    async def _closed(self) -> None:
        if not self._closing and self._starting is not None and self._starting.done():
            logger.error("nats.closed_for_good", role=self._role)
            os.kill(os.getpid(), signal.SIGTERM)

    def open(self) -> None:
        """Begin to connect; returns at once."""
        self._starting = asyncio.create_task(self._start())

    def on_bell(self, subject: str, hear: Callable[[bytes], None]) -> None:
        """Call `hear` with the payload of every bell on the subject. Before the link is opened.

        It does not go FastStream's way, which takes 150 µs from a message to a function. `hear` must not raise."""
        self._heard[subject] = hear

    @property
    def up(self) -> bool:
        """Whether there is a connection just now."""
        return self._starting is not None and self._starting.done() and self.client.is_connected

    @property
    def client(self) -> Client:
        """The driver's connection. Only while `up`."""
        return self.broker.connection

    async def wait(self) -> None:
        """Until there was a connection for the first time."""
        assert self._starting is not None, "The link must be opened first."
        await asyncio.shield(self._starting)

    async def ring(self, subject: str, payload: bytes = b"") -> None:
        """A doorbell: core NATS, no answer, no promise. While there is no connection it is not rung."""
        if self.up:
            try:
                await self.client.publish(subject, payload)
            except Exception as error:  # a bell that was not heard costs milliseconds, nothing else
                logger.debug("nats.bell_lost", subject=subject, error=str(error))

    def ring_soon(self, subject: str) -> None:
        """Ring in the background; returns at once. It is rung once for all who ask within APART_S, and at once for the
        first of them."""
        if subject not in self._due:
            self._due.add(subject)
            self.soon(self._ring_due(subject))

    async def _ring_due(self, subject: str) -> None:
        await asyncio.sleep(max(self._rung.get(subject, 0.0) + APART_S - time.monotonic(), 0.0))
        self._due.discard(subject)
        self._rung[subject] = time.monotonic()
        await self.ring(subject)

    def soon(self, ringing: Coroutine[Any, Any, None]) -> None:
        """Do in the background what rings more than one bell; returns at once."""
        task = asyncio.create_task(ringing)
        self._ringing.add(task)
        task.add_done_callback(self._ringing.discard)

    async def close(self) -> None:
        """Leave, within seconds, whether there is a connection or not."""
        self._closing = True
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            return
        try:
            async with asyncio.timeout(3):
                await self.client.close()
        except Exception as error:
            logger.debug("nats.close", error=str(error))

    async def _start(self) -> None:
        while True:
            try:
                await self.broker.start()
                for subject, hear in self._heard.items():
                    await receive(self.client, subject, _handing(hear))
                return
            except asyncio.CancelledError:
                raise
            except Exception as error:
                logger.warning("nats.no_connection", error=str(error) or type(error).__name__)
                await asyncio.sleep(1)


def _handing(hear: Callable[[bytes], None]) -> Hear:
    return lambda _subject, _reply, _headers, payload: hear(payload)


def _login(urls: str) -> tuple[list[str], BaseSecurity | None]:
    """The servers without user and password, and these by themselves.

    A cluster tells of its other servers by host and port only, and the driver would dial these without a password."""
    servers = addresses(urls)
    parts = urlsplit(servers[0])
    if parts.username is None or parts.password is None:  # a token, or nobody
        return servers, None
    bare = [urlunsplit(one._replace(netloc=one.netloc.rpartition("@")[2])) for one in map(urlsplit, servers)]
    return bare, SASLPlaintext(parts.username, parts.password)
