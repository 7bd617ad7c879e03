"""Loops that run together and end together."""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable
from typing import Any

ASK_AGAIN_S = 0.5  # a loop that has not ended since it was asked to


async def together(*loops: Coroutine[Any, Any, None]) -> None:
    """Run the loops. The first that fails ends all, and its error is raised; so does a cancellation."""
    running = [asyncio.create_task(loop) for loop in loops]
    try:
        await asyncio.wait(running, return_when=asyncio.FIRST_EXCEPTION)
        failed = [one for one in running if one.done() and not one.cancelled() and one.exception() is not None]
    finally:
        await end(running)
    for one in failed:
        one.result()


async def end(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel the tasks until they have ended.

    One request is not enough: up to Python 3.11 `asyncio.wait_for`, on which drivers rest, loses a cancellation that
    comes together with its answer, and a loop that went on would never end."""
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):  # whoever cancels this one asks again, too
            await asyncio.wait(left, timeout=ASK_AGAIN_S)
