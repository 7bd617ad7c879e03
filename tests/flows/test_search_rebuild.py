"""Does a rebuild of the search go on in small steps, and give way to another?"""

from uuid import UUID

import pytest

from adapters.workers.search_rebuild import NEAR, Built, search_rebuild
from domain.job import Job
from domain.outcome import Done, Refused
from domain.search import Overtaken, Request, Result

STEP, END = 2_000, 11_000


class Told:
    """Goes so far in every step, and notes from where it was put in place."""

    position, documents, differences = END, 3, 0

    def __init__(self, begun: int, overtaken: bool = False) -> None:
        self.at, self.overtaken, self.swapped_at = begun, overtaken, -1

    async def begin(self) -> int:
        return self.at

    async def step(self) -> tuple[int, int]:
        if self.overtaken:
            raise Overtaken("Another one goes on.")
        self.at = min(self.at + STEP, END)
        return self.at, END

    async def swap(self) -> Built:
        self.swapped_at = self.at
        return self

    async def clear(self) -> None:
        return None


@pytest.mark.parametrize("begun", [0, STEP, END])
async def test_it_is_swapped_when_little_is_left_wherever_it_went_on(begun: int) -> None:
    told = Told(begun)
    outcome = await search_rebuild(lambda _: told)(Request(), Job(UUID(int=1), 1, lambda *_: None))
    assert outcome == Done(result=Result(position=END, documents=3, differences=0))
    assert END - told.swapped_at <= NEAR


async def test_who_was_overtaken_gives_way() -> None:
    outcome = await search_rebuild(lambda _: Told(0, True))(Request(), Job(UUID(int=1), 1, lambda *_: None))
    assert isinstance(outcome, Refused) and outcome.error.type == "overtaken"
