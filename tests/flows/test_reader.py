"""Does a reader go on where it can, and stand still, aloud, where it cannot?"""

import asyncio

import pytest

from domain.catalogue import UnknownEvent
from infra.roles.reader import read
from tests.clocks import HandClock


class Away(Exception):
    """Postgres does not answer."""


@pytest.mark.parametrize("error", [UnknownEvent("task.promoted", 3), Away("gone"), RecursionError("too deep")])
async def test_a_reader_tries_again_whatever_went_wrong(error: Exception) -> None:
    time, steps = HandClock(), [1, error, error, 1, 0]
    taken: list[int] = []

    async def step() -> int:
        now = steps.pop(0) if steps else 0
        if isinstance(now, Exception):
            raise now
        taken.append(now)
        return now

    bell = asyncio.Event()
    reading = asyncio.create_task(read("audit", step, bell, time.clock, (Away,)))
    for _ in range(20):
        bell.set()
        await time.advance(1.0)
    assert not reading.done() and sum(taken) == 2 and not steps
    reading.cancel()
