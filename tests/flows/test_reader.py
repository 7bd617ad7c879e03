"""Does a reader go on where it can, and stand still, aloud, where it cannot?"""

import asyncio
from itertools import pairwise

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


async def test_a_reader_steps_soon_after_a_quiet_second_and_seldom_while_bells_go_on_ringing() -> None:
    time, at = HandClock(), []

    async def step() -> int:
        at.append(time.clock.monotonic())
        return 1

    bell = asyncio.Event()
    reading = asyncio.create_task(read("audit", step, bell, time.clock, (Away,), latest_s=0.4))
    for _ in range(200):
        bell.set()
        await time.advance(0.01)
    reading.cancel()
    pauses = [after - before for before, after in pairwise(at)]
    assert pauses == pytest.approx([0.1, 0.2, *[0.4] * (len(pauses) - 2)], abs=0.02) and len(pauses) >= 5
