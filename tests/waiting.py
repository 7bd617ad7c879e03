"""Waiting for conditions."""

import asyncio
import time
from collections.abc import Awaitable, Callable

PAUSE_S = 0.005


async def until(holds: Callable[[], bool], patience_s: float = 10.0) -> None:
    """Until the condition holds; fails where it does not in time."""

    async def answer() -> bool:
        return holds()

    await until_told(answer, patience_s)


async def until_told(holds: Callable[[], Awaitable[bool]], patience_s: float = 10.0) -> None:
    """Until the question is answered with yes."""
    deadline = time.monotonic() + patience_s
    while not await holds():
        assert time.monotonic() < deadline, "It did not come true in time."
        await asyncio.sleep(PAUSE_S)


async def settled(turns: int = 30) -> None:
    """Let everything run that can run by itself."""
    for _ in range(turns):
        await asyncio.sleep(0)
