"""Do the drill's proxies fail as they are told to, and else pass everything on?"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from infra.drill.proxy import HOST, Proxy, Trouble

BIG = bytes(range(256)) * 4_000


@asynccontextmanager
async def echoing() -> AsyncIterator[Proxy]:
    """A proxy in front of a server that answers with what it hears."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, HOST, 0)
    proxy = Proxy("echo", server.sockets[0].getsockname()[1])
    try:
        async with proxy.open():
            yield proxy
    finally:
        server.close()


async def said(proxy: Proxy, data: bytes, patience_s: float = 5.0) -> bytes:
    """What comes back until the connection ends. Raises OSError or TimeoutError."""
    reader, writer = await asyncio.open_connection(HOST, proxy.port)
    try:
        writer.write(data)
        writer.write_eof()
        async with asyncio.timeout(patience_s):
            return await reader.read()
    finally:
        writer.transport.abort()


async def test_everything_is_passed_on() -> None:
    async with echoing() as proxy:
        assert await asyncio.gather(*(said(proxy, BIG) for _ in range(5))) == [BIG] * 5


async def test_a_path_is_refused_and_let_go_again() -> None:
    async with echoing() as proxy:
        async with proxy.troubled(Trouble(refuse=True)):
            with suppress(OSError):
                assert await said(proxy, b"hello") == b""
        assert await said(proxy, b"hello") == b"hello"


async def test_what_is_swallowed_gets_no_answer_and_no_end() -> None:
    async with echoing() as proxy:
        async with proxy.troubled(Trouble(swallow=True)):
            with pytest.raises(TimeoutError):
                await said(proxy, b"hello", 0.3)
        assert await said(proxy, b"hello") == b"hello"


async def test_an_answer_is_cut_after_so_many_bytes_once() -> None:
    async with echoing() as proxy, proxy.troubled(Trouble(reset_after=100_000)):
        reader, writer = await asyncio.open_connection(HOST, proxy.port)
        writer.write(BIG)
        heard = b""
        with pytest.raises(ConnectionResetError):
            while data := await reader.read(1_000):
                heard += data
        assert len(heard) <= 100_000 and BIG.startswith(heard)
        assert await said(proxy, b"hello") == b"hello"


async def test_an_answer_to_some_words_is_lost() -> None:
    async with echoing() as proxy, proxy.troubled(Trouble(lose_answer_to=b"\r\n.\r\n")):
        assert await said(proxy, b"EHLO") == b"EHLO"
        with pytest.raises(ConnectionResetError):
            await said(proxy, b"a mail\r\n.\r\n")


async def test_connections_that_stand_are_cut() -> None:
    async with echoing() as proxy:
        reader, writer = await asyncio.open_connection(HOST, proxy.port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            await reader.read()
