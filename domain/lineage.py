"""The tasks of a thing: those that its facts set off, and those that do their work again."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from uuid import UUID

from domain.log import Fact
from domain.reactions import follow
from domain.task import Task

Read = Callable[[Sequence[UUID]], Awaitable[Mapping[UUID, Task]]]
MOST_RETRIES = 1_000  # of one task, one after the other


def first(facts: Iterable[Fact]) -> list[UUID]:
    """Those that the facts themselves set off, in this order."""
    return [one.id for fact in facts for one in follow(fact)]


async def all_of(ids: Sequence[UUID], read: Read) -> dict[UUID, Task]:
    """These tasks, and all that were retried of them."""
    found: dict[UUID, Task] = {}
    left = list(ids)
    for _ in range(MOST_RETRIES):
        if not left:
            break
        more = await read(left)
        found |= more
        left = [state.retried_as for state in more.values() if state.retried_as and state.retried_as not in found]
    return found


def latest(found: Mapping[UUID, Task]) -> dict[UUID, Task]:
    """Those of them that count: what was retried does not any more."""
    return {id: state for id, state in found.items() if state.retried_as is None}


def lives(first: UUID, tasks: Mapping[UUID, Task]) -> dict[UUID, Task]:
    """A task of these, and those that did its work again."""
    found: dict[UUID, Task] = {}
    id: UUID | None = first
    while id is not None and id not in found and (state := tasks.get(id)) is not None:
        found[id] = state
        id = state.retried_as
    return found


async def needed(id: UUID, read: Read) -> dict[UUID, Task]:
    """The tasks that a task needed, as they ended, in the order in which it was asked for."""
    needs = (await read([id]))[id].needs
    found = await read(needs)
    return {one: found[one] for one in needs}
