"""Ends all that works for a deleted thing, and lets go of its files."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from domain.job import Job, Work
from domain.log import Meta
from domain.outcome import Done, Outcome
from domain.removal import Request, Result

Remove = Callable[[str, UUID, Meta], Awaitable[int]]
"""Removes the thing of a category, and answers how many tasks were cancelled for that."""


def removal(remove: Remove) -> Work:
    """The worker with its tool."""

    async def work(request: Request, job: Job) -> Outcome:
        return Done(result=Result(cancelled=await remove(request.category, request.id, job.meta)))

    return work
