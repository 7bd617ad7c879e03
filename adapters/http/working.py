"""The tasks that work for things: those that their facts set off, and those that do their work again."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from adapters.http.desk import Call, desk
from domain import lineage
from domain.log import Recorded
from domain.task import Task


async def tasks_of(request: Call, things: Sequence[Sequence[Recorded]], more: Sequence[UUID] = ()) -> dict[UUID, Task]:
    """All tasks that ever worked for these things, and those `more` with their retries."""
    queries = desk(request).service.queries

    async def states(ids: Sequence[UUID]) -> Mapping[UUID, Task]:
        return {seen.id: seen.task for seen in await queries.seen(ids)}

    return await lineage.all_of([*lineage.first(one.fact for facts in things for one in facts), *more], states)


def of_each(recorded: Sequence[Recorded], tasks: Mapping[UUID, Task]) -> dict[UUID, Task]:
    """Those of the tasks that work for this one."""
    found: dict[UUID, Task] = {}
    for id in lineage.first(one.fact for one in recorded):
        found |= lineage.lives(id, tasks)
    return found
