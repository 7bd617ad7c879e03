"""Does a download end with its client? The server takes what is sent to nobody, without end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from adapters.http.files import Streamed

MOST = 1_000


async def test_what_nobody_reads_any_more_is_not_read_from_the_store() -> None:
    read: list[int] = []
    gone = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        for number in range(MOST):
            read.append(number)
            yield b"x"

    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if len(read) == 10:
            gone.set()
        await asyncio.sleep(0)

    await Streamed(chunks(), 200, {}).to_asgi_response()({"method": "GET"}, receive, send)  # type: ignore[arg-type]
    assert 10 <= len(read) < 20
