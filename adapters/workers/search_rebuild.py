"""Builds the index of the search anew, beside the one that answers, and puts it in its place."""

from collections.abc import Callable
from typing import Protocol
from uuid import UUID

from domain.job import Job, Work
from domain.outcome import Done, Error, Outcome, Refused
from domain.search import Overtaken, Request, Result

NEAR = 2_000  # facts that may be left for the last step, for which the reader waits


class Built(Protocol):
    """The index that took the old one's place."""

    @property
    def position(self) -> int: ...
    @property
    def documents(self) -> int: ...
    @property
    def differences(self) -> int: ...


class Rebuild(Protocol):
    async def begin(self) -> int: ...
    async def step(self) -> tuple[int, int]: ...
    async def swap(self) -> Built: ...
    async def clear(self) -> None: ...


def search_rebuild(rebuild: Callable[[UUID], Rebuild]) -> Work:
    """The worker with its tool, which is made for each task. A killed one is gone on with by the next attempt."""

    async def work(_: Request, job: Job) -> Outcome:
        building = rebuild(job.id)
        try:
            built = await _built(building, job)
        except Overtaken as error:
            return Refused(error=Error(type="overtaken", detail=str(error)))
        await building.clear()
        result = Result(position=built.position, documents=built.documents, differences=built.differences)
        return Done(result=result)

    return work


async def _built(building: Rebuild, job: Job) -> Built:
    before = await building.begin()
    while True:
        position, end = await building.step()
        job.report(position, max(end, 1), "facts")
        if end - position <= NEAR or position == before:
            return await building.swap()
        before = position
