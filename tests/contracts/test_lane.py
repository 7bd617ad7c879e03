"""Does the lane gather, split and refuse as it says?"""

import asyncio
from collections.abc import Sequence

import pytest

from adapters.postgres.lane import Full, Lane
from tests.waiting import settled, until


class Bad(Exception):
    """For the sake of this item the whole statement is refused."""


class Statements:
    """Runs as a database would: slowly, and as the test lets it."""

    def __init__(self) -> None:
        self.run_with: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def run(self, items: Sequence[int]) -> Sequence[int | Exception]:
        self.run_with.append(list(items))
        await self.gate.wait()
        if any(item < 0 for item in items):
            raise Bad(min(items))
        return [ValueError(item) if item == 13 else item * 10 for item in items]


@pytest.fixture
def statements() -> Statements:
    return Statements()


async def test_one_item_goes_out_at_once(statements: Statements) -> None:
    assert await Lane(statements.run).do(1) == 10
    assert statements.run_with == [[1]]


async def test_what_comes_during_a_flight_goes_out_together(statements: Statements) -> None:
    lane = Lane(statements.run, flights=1, most=4)
    statements.gate.clear()
    doing = [asyncio.create_task(lane.do(n)) for n in range(8)]
    await until(lambda: len(statements.run_with) == 1)
    statements.gate.set()
    assert await asyncio.gather(*doing) == [n * 10 for n in range(8)]
    assert statements.run_with == [[0], [1, 2, 3, 4], [5, 6, 7]]


async def test_at_most_so_many_flights_at_once(statements: Statements) -> None:
    lane = Lane(statements.run, flights=2, most=1)
    statements.gate.clear()
    doing = [asyncio.create_task(lane.do(n)) for n in range(5)]
    await settled()
    assert statements.run_with == [[0], [1]]
    statements.gate.set()
    await asyncio.gather(*doing)
    assert len(statements.run_with) == 5


async def test_a_flight_is_bounded_in_bytes_and_takes_at_least_one(statements: Statements) -> None:
    lane = Lane(statements.run, size=lambda item: item, flights=1, most_bytes=10)
    statements.gate.clear()
    doing = [asyncio.create_task(lane.do(n)) for n in (1, 6, 4, 5, 99, 2)]
    await settled()
    statements.gate.set()
    await asyncio.gather(*doing)
    assert statements.run_with == [[1], [6, 4], [5], [99], [2]]


async def test_only_the_offender_is_refused(statements: Statements) -> None:
    lane = Lane(statements.run, flights=1, splits=(Bad,))
    statements.gate.clear()
    doing = [asyncio.create_task(lane.do(n)) for n in [0, *range(1, 100), -7, *range(101, 200)]]
    await settled()
    statements.gate.set()
    answers = await asyncio.gather(*doing, return_exceptions=True)
    [refused] = [answer for answer in answers if isinstance(answer, Exception) and not isinstance(answer, ValueError)]
    assert isinstance(refused, Bad) and answers[100] is refused
    assert [a for n, a in enumerate(answers) if n not in (13, 100)] == [
        n * 10 for n in range(200) if n not in (13, 100)
    ]
    assert len(statements.run_with) < 20  # by halves, not one by one


async def test_an_error_of_one_item_is_its_own_and_another_error_is_everybodys(statements: Statements) -> None:
    lane = Lane(statements.run, flights=1)  # nothing is split here
    statements.gate.clear()
    doing = [asyncio.create_task(lane.do(n)) for n in (12, 13, 14)]
    await settled()
    statements.gate.set()
    answers = await asyncio.gather(*doing, return_exceptions=True)
    assert [type(answer) for answer in answers] == [int, ValueError, int]
    statements.gate.clear()
    doing = [asyncio.create_task(lane.do(n)) for n in (1, 2, -3)]
    await settled()
    statements.gate.set()
    answers = await asyncio.gather(*doing, return_exceptions=True)
    assert [type(answer) for answer in answers] == [int, Bad, Bad]


async def test_too_much_is_turned_away_at_once(statements: Statements) -> None:
    lane = Lane(statements.run, flights=1, backlog=3)
    statements.gate.clear()
    doing = [asyncio.create_task(lane.do(n)) for n in range(4)]  # one flies, three wait
    await settled()
    with pytest.raises(Full):
        await lane.do(4)
    statements.gate.set()
    assert await asyncio.gather(*doing) == [0, 10, 20, 30]
    assert await lane.do(5) == 50


async def test_a_caller_that_leaves_stops_nobody_else(statements: Statements) -> None:
    lane = Lane(statements.run, flights=1)
    statements.gate.clear()
    doing = [asyncio.create_task(lane.do(n)) for n in range(3)]
    await settled()
    doing[0].cancel()  # it flies
    doing[1].cancel()  # it waits
    statements.gate.set()
    answers = await asyncio.gather(*doing, return_exceptions=True)
    assert answers[2] == 20 and all(isinstance(answer, asyncio.CancelledError) for answer in answers[:2])
    await lane.drain()
    assert await lane.do(3) == 30


async def test_draining_waits_until_nothing_flies_or_waits(statements: Statements) -> None:
    lane = Lane(statements.run, flights=1, most=1)
    statements.gate.clear()
    doing = [asyncio.create_task(lane.do(n)) for n in range(3)]
    await settled()
    draining = asyncio.create_task(lane.drain())
    await settled()
    assert not draining.done()
    statements.gate.set()
    await draining
    assert all(one.done() for one in doing) and len(statements.run_with) == 3


async def test_what_waits_is_bounded_by_its_bytes_too() -> None:
    gate = asyncio.Event()

    async def run(items: Sequence[int]) -> list[int]:
        await gate.wait()
        return list(items)

    lane: Lane[int, int] = Lane(run, size=lambda item: item, flights=1, most=1, backlog_bytes=100)
    doing = [asyncio.create_task(lane.do(size)) for size in (10, 60, 60)]  # the first flies, the others wait
    await settled()
    with pytest.raises(Full):
        await lane.do(1)
    gate.set()
    assert await asyncio.gather(*doing) == [10, 60, 60]
    assert await lane.do(1) == 1
