"""A consumer as docs/consuming-events.md tells to write one, and nothing else known: nats-py, a table of ids."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import nats
from nats.aio.msg import Msg

FETCH_S = 0.5


@dataclass(frozen=True, slots=True)
class Told:
    """One message, as it was kept."""

    position: int
    subject: str
    headers: dict[str, str]  # names in small letters
    payload: Any


@dataclass
class Reader:
    """Keeps every fact once, by its id. What it keeps outlives the loop that reads."""

    name: str
    url: str
    kept: dict[str, Told] = field(default_factory=dict)  # by ce-id, as they came
    repeats: int = 0
    running: "asyncio.Task[None] | None" = None

    def start(self) -> None:
        self.running = asyncio.create_task(self._read())

    async def kill(self) -> None:
        """In the midst of whatever it does; nothing is acknowledged any more."""
        assert self.running is not None
        while not self.running.done():  # nats-py takes a cancellation for a timeout, now and then
            self.running.cancel()
            await asyncio.wait([self.running], timeout=0.1)
        if self.running.cancelled():
            return
        error = self.running.exception()
        if error is not None and not isinstance(
            error, ConnectionError
        ):  # that is how nats-py ends in the midst of a write
            raise error

    @property
    def order(self) -> list[tuple[int, str]]:
        """Position and id, as they came for the first time."""
        return [(told.position, id) for id, told in self.kept.items()]

    async def _read(self) -> None:
        inbox = f"_INBOX_{self.name}"
        client = await nats.connect(self.url, inbox_prefix=inbox, max_reconnect_attempts=-1, error_cb=_unheard)
        try:
            bound = await client.jetstream().pull_subscribe_bind(f"consumer-{self.name}", stream="LOG")
            while True:
                try:
                    messages = await bound.fetch(50, timeout=FETCH_S)
                except TimeoutError:
                    continue
                except nats.errors.Error:
                    await asyncio.sleep(0.2)  # "wait and fetch again, for ever": shorter, for a test
                    continue
                for message in messages:
                    self._keep(message)
                for message in messages:
                    await message.ack()
        finally:
            await client.close()

    def _keep(self, message: Msg) -> None:
        given = {name.lower(): value for name, value in (message.headers or {}).items()}
        headers = {name: value for name, value in given.items() if not name.startswith("nats-")}  # of the transport
        told = Told(int(headers["ce-position"]), message.subject, headers, json.loads(message.data))
        assert told.position == message.metadata.sequence.stream
        if headers["ce-id"] in self.kept:
            self.repeats += 1
            assert self.kept[headers["ce-id"]] == told, "a repeat says the same again"
        else:
            self.kept[headers["ce-id"]] = told


async def _unheard(_: Exception) -> None:
    """NATS is killed here, and that is no news."""
