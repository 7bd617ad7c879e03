"""Load over HTTP/1.1: POSTs over keep-alive connections, each answer checked.

A full HTTP client takes longer for a request than the services do that are measured here."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

END = b"\r\n\r\n"
LENGTH = b"content-length:"
IDLE_S = 10.0  # that a connection is kept without a request


class Refused(Exception):
    """The answer was no 2xx; its first bytes are told."""


class Caller(asyncio.Protocol):
    """One keep-alive connection, one request at a time."""

    _transport: asyncio.WriteTransport
    _answered: "asyncio.Future[bytes]"

    def __init__(self, head: bytes) -> None:
        self._head, self._buffer = head, b""

    @classmethod
    async def open(cls, url: str, headers: Mapping[str, str], method: str = "POST") -> Self:
        parts = urlsplit(url)
        lines = [f"{method} {parts.path} HTTP/1.1", f"Host: {parts.netloc}", "Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join([*lines, "Content-Length: "]).encode()
        _, caller = await asyncio.get_running_loop().create_connection(lambda: cls(head), parts.hostname, parts.port)
        return caller

    async def post(self, body: bytes) -> bytes:
        """The answer's body. Raises Refused or ConnectionError."""
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(b"%b%d%b%b" % (self._head, len(body), END, body))
        answer = await self._answered
        if answer[9:10] != b"2":
            raise Refused(answer[:600].decode(errors="replace"))
        return answer.partition(END)[2]

    @property
    def closed(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(END)
        if end >= 0 and len(self._buffer) >= end + len(END) + _length(self._buffer[:end]):
            answer, self._buffer = self._buffer, b""
            self._answered.set_result(answer)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._answered.done():
            self._answered.set_exception(ConnectionError(f"The service closed the connection: {error}."))


def _length(head: bytes) -> int:
    return int(head.lower().partition(LENGTH)[2].partition(b"\r")[0] or 0)


@dataclass(slots=True)
class Load:
    """What the requests of one run came to."""

    took_s: float = 0.0
    latencies_s: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return len(self.latencies_s) / self.took_s


async def load(url: str, headers: Mapping[str, str], bodies: Iterator[bytes], connections: int, seconds: float) -> Load:
    """POST the bodies for so long, one at a time on each connection."""
    callers = [await Caller.open(url, headers) for _ in range(connections)]
    done, begin = Load(), time.perf_counter()

    async def each(caller: Caller) -> None:
        while (sent := time.perf_counter()) < begin + seconds:
            await caller.post(next(bodies))
            done.latencies_s.append(time.perf_counter() - sent)

    await asyncio.gather(*map(each, callers))
    done.took_s = time.perf_counter() - begin
    for caller in callers:
        caller.close()
    return done


class Callers:
    """As many keep-alive connections as are needed at once. One that was idle for long is not used again: the service
    may be about to close it."""

    def __init__(self, url: str, headers: Mapping[str, str], method: str = "POST") -> None:
        self._url, self._headers, self._method = url, headers, method
        self._free: list[tuple[float, Caller]] = []  # since when

    async def post(self, body: bytes) -> bytes:
        caller = self._kept() or await Caller.open(self._url, self._headers, self._method)
        answer = await caller.post(body)
        self._free.append((time.monotonic(), caller))
        return answer

    def _kept(self) -> Caller | None:
        while self._free:
            since, caller = self._free.pop()
            if not caller.closed and time.monotonic() < since + IDLE_S:
                return caller
            caller.close()
        return None

    def close(self) -> None:
        for _, caller in self._free:
            caller.close()
