"""Waiting for conditions."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
PAUSE_S = 0.005


async def until(holds: Callable[[], bool], patience_s: float = 10.0) -> None:
    """Until the condition holds; fails where it does not in time."""

    async def answer() -> bool:
        return holds()

    await until_told(answer, patience_s)


async def until_told(
    question: Callable[[], Awaitable[T]], patience_s: float = 10.0, away: tuple[type[Exception], ...] = ()
) -> T:
    """Until the question is answered with something, and what that is; an error of `away` is no answer yet."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            if told := await question():
                return told
        except away:
            pass
        assert time.monotonic() < deadline, "It did not come true in time."
        await asyncio.sleep(PAUSE_S)


async def settled(turns: int = 30) -> None:
    """Let everything run that can run by itself."""
    for _ in range(turns):
        await asyncio.sleep(0)


def alive(pid: int) -> bool:
    """Whether the process runs: one that has ended and waits to be collected does not."""
    return stat(pid)[:1] not in ([], ["Z"])


def stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat after the name; none where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
