"""A TCP proxy that can be told to fail as networks do: refuse, cut, swallow, slow down, and cut in the middle."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

HOST = "127.0.0.1"
CHUNK = 65_536
AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: close sends a reset, and what was not sent is lost


@dataclass(slots=True)
class Trouble:
    """What is wrong with a path, from now on and for every connection."""

    refuse: bool = False  # no new connection
    swallow: bool = False  # bytes go nowhere, and nobody hears that
    delay_s: float = 0.0  # before each piece
    reset_after: int = -1  # bytes of answers, of all connections together; -1: never
    lose_answer_to: bytes = b""  # once this was asked, the connection is reset in place of the answer
    met: int = 0  # how often somebody has met it


@dataclass(eq=False, slots=True)
class _Pair:
    """One connection: who dialled, and whom we have dialled."""

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter
    asked: bool = False  # for what is to have no answer

    def reset(self) -> None:
        for writer in (self.near, self.far):
            with suppress(OSError, AttributeError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
            writer.transport.abort()


@dataclass(slots=True)
class Proxy:
    """One path, from a port of its own to a server."""

    name: str
    to: int  # the server's port
    port: int = 0  # its own
    trouble: Trouble = field(default_factory=Trouble)
    _pairs: set[_Pair] = field(default_factory=set)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Listen for as long as the block runs; on any free port, where none is named."""
        server = await asyncio.start_server(self._serve, HOST, self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            self.cut()

    @asynccontextmanager
    async def troubled(self, trouble: Trouble) -> AsyncIterator[None]:
        """For as long as the block runs; what stands open and is swallowed ends with it."""
        self.trouble = trouble
        try:
            if trouble.refuse:
                trouble.met += self.cut()
            yield
        finally:
            self.trouble = Trouble()
            if trouble.swallow:
                self.cut()

    def cut(self) -> int:
        """Reset every connection; answers with how many there were."""
        pairs = list(self._pairs)
        for pair in pairs:
            pair.reset()
        return len(pairs)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.trouble.refuse:
            self.trouble.met += 1
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self.to)
        except OSError:
            writer.transport.abort()
            return
        pair = _Pair(writer, far_writer)
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._asks(pair, reader), self._answers(pair, far_reader))
        except OSError:
            pair.reset()
        finally:
            self._pairs.discard(pair)
            for each in (writer, far_writer):
                each.close()

    async def _asks(self, pair: _Pair, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(CHUNK):
            trouble = self.trouble
            pair.asked = pair.asked or bool(trouble.lose_answer_to and trouble.lose_answer_to in data)
            await self._pass(trouble, pair.far, data)
        self._end(pair.far)

    async def _answers(self, pair: _Pair, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(CHUNK):
            trouble = self.trouble
            if trouble.lose_answer_to and pair.asked:
                trouble.met += 1
                pair.reset()
                return
            if 0 <= trouble.reset_after < len(data):
                pair.near.write(data[: trouble.reset_after])
                trouble.reset_after, trouble.met = -1, trouble.met + 1
                await pair.near.drain()
                pair.reset()
                return
            if trouble.reset_after >= 0:
                trouble.reset_after -= len(data)
            await self._pass(trouble, pair.near, data)
        self._end(pair.near)

    async def _pass(self, trouble: Trouble, writer: asyncio.StreamWriter, data: bytes) -> None:
        if trouble.delay_s:
            trouble.met += 1
            await asyncio.sleep(trouble.delay_s)
        if trouble.swallow:
            trouble.met += 1
        else:
            writer.write(data)
            await writer.drain()

    def _end(self, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            if writer.can_write_eof() and not self.trouble.swallow:
                writer.write_eof()
