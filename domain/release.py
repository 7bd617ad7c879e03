"""Which waiting tasks are free now: those whose needs are all complete. One that can never be is cancelled.

A reader of the log asks this for every fact that says `waiting`, and for the end of every task, in the log's order and
with its cursor in the same transaction. A task begins to wait, and the tasks that it needs end, in transactions that
know nothing of one another: whichever of their facts comes later in the log finds the other's row written."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain import compose
from domain.compose import NewId
from domain.holding import Change
from domain.log import Meta, Recorded
from domain.task import Cancelled, Completed, Event, Failed, Queued, Scheduled, Status, Task, Waiting

SYSTEM = "system"
AT_ONCE = 500  # tasks in one statement
ENDS = (Completed, Failed, Cancelled)
FIRST = UUID(int=0)


class Rows(Protocol):
    """The tasks' rows, within the transaction of the reader's step."""

    async def get(self, ids: Sequence[UUID]) -> dict[UUID, Task]:
        """The tasks as they stand; an id without a task is missing."""

    async def waiting(self, needs: Sequence[UUID], after: UUID, limit: int) -> dict[UUID, Task]:
        """The next waiting tasks behind an id that need one of these."""

    async def settle(self, changes: Sequence[Change], actor: str) -> set[UUID]:
        """Write what was decided; see domain.holding.Tasks."""


def release(task: Task, needed: Mapping[UUID, Task], now: datetime) -> list[Event]:
    """What follows for a waiting task from the tasks that it needs; `needed` holds all of them."""
    if task.status is not Status.WAITING:
        return []
    for id in task.needs:
        if needed[id].status in (Status.FAILED, Status.CANCELLED):
            return [cancelled_for(id, needed[id])]
    if any(needed[id].status is not Status.COMPLETE for id in task.needs):
        return []
    if task.due_at is not None and task.due_at > now:
        return [Scheduled(due_at=task.due_at)]
    return [Queued()]


def cancelled_for(id: UUID, needed: Task) -> Cancelled:
    """The end of a task that needs one which will never be complete."""
    return Cancelled(by=SYSTEM, reason=f"It needs the task {id}, which is {needed.status}.", cause=id)


async def release_waiting(
    rows: Rows, recorded: Sequence[Recorded], now: datetime, new_id: NewId
) -> dict[str, list[UUID]]:
    """Release what these facts set free; answers with what was queued, by queue."""
    began = [_task(one) for one in recorded if isinstance(one.fact.event, Waiting)]
    ended = [_task(one) for one in recorded if isinstance(one.fact.event, ENDS)]
    queued: dict[str, list[UUID]] = {}
    if began:
        await _release(rows, await rows.get(began), now, new_id, queued)
    async for page in _waiting(rows, ended):
        await _release(rows, page, now, new_id, queued)
    return queued


async def _waiting(rows: Rows, ended: Sequence[UUID]) -> AsyncIterator[dict[UUID, Task]]:
    """What waits for these, a page at a time."""
    after = FIRST
    while ended and (page := await rows.waiting(ended, after, AT_ONCE)):
        yield page
        after = max(page)


async def _release(
    rows: Rows, waiting: Mapping[UUID, Task], now: datetime, new_id: NewId, queued: dict[str, list[UUID]]
) -> None:
    needed = await rows.get(list({need for state in waiting.values() for need in state.needs}))
    changes = []
    for id, state in waiting.items():
        if events := release(state, needed, now):
            facts, after = compose.of_task(id, state, events, Meta(actor=SYSTEM), now, new_id)
            changes.append(Change(id, after, facts, version=state.version))
    settled = await rows.settle(changes, SYSTEM) if changes else set()
    for change in changes:
        if change.id in settled and change.after.status is Status.QUEUED:
            queued.setdefault(change.after.queue, []).append(change.id)


def _task(one: Recorded) -> UUID:
    return UUID(one.fact.stream.removeprefix("task-"))
