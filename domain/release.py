"""Which waiting tasks are free now: those whose needs are all complete. One that can never be is cancelled.

A reader of the log asks this for every fact that says `waiting`, and for the end of every task: whichever of the two
comes later in the log finds the other done."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from domain.task import Cancelled, Event, Queued, Scheduled, Status, Task

SYSTEM = "system"


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
