"""Doing it again: a failed or cancelled task is retried by a new one, together with the rest of its chain."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from domain import compose, task
from domain.log import Entry, Fact, Meta
from domain.release import cancelled_for
from domain.task import Status, Task

MOST = 1_000  # tasks of one chain that are requested anew together


class Unfit(Exception):
    """A task that it needs failed or was cancelled: `id` is to be retried first."""

    def __init__(self, id: UUID) -> None:
        super().__init__(f"It needs the task {id}, which failed or was cancelled: retry that one.")
        self.id = id


def rest(id: UUID, dependents: Mapping[UUID, Task]) -> list[UUID]:
    """Those of the tasks after `id` in its chain that end with it: still waiting, or cancelled because of it.

    What somebody has cancelled on purpose stays cancelled, and what needs that with it."""
    found = {id: None}
    left = {one: state for one, state in dependents.items() if state.retried_as is None}
    while follow := [one for one, state in left.items() if one not in found and _ends_with(state, found)]:
        found |= dict.fromkeys(follow)
    return list(found)[1:]


def _ends_with(state: Task, found: Mapping[UUID, None]) -> bool:
    if state.status is Status.WAITING:
        return any(need in found for need in state.needs)
    cancelled = state.cancel_requested
    return state.status is Status.CANCELLED and cancelled is not None and cancelled.cause in found


def retry(
    id: UUID,
    tasks: Mapping[UUID, Task],
    needed: Sequence[tuple[UUID, Task]],
    meta: Meta,
    now: datetime,
    new_id: Callable[[], UUID],
    beside: Mapping[UUID, UUID] | None = None,
) -> Entry | None:
    """Request the work of a failed or cancelled task again, and that of the rest of its chain; the first of the new
    tasks is the one for `id`. None where there is nothing to retry.

    `tasks` holds the task and whatever needs it, directly or not; `needed` those that it needs itself, in this
    order, each as it was retried last; `beside` tells as what those that the rest of the chain needs were retried last.
    Raises Unfit where one of those will never be complete."""
    for need, state in needed:
        if state.status in (Status.FAILED, Status.CANCELLED):
            raise Unfit(need)
    if not task.retry(tasks[id], id):
        return None
    renewed = {old: new_id() for old in (id, *rest(id, tasks))}
    later = dict(beside or {}) | renewed | {old: last for old, (last, _) in zip(tasks[id].needs, needed, strict=True)}
    facts: list[Fact] = []
    made, ended = [], dict(tasks)
    for old, new in renewed.items():
        state = tasks[old]
        events = [*_end(state, ended, renewed), task.Retried(task=new)]
        old_facts, ended[old] = compose.of_task(old, state, events, meta, now, new_id)
        asked = task.asked_again(state, old, tuple(_now(need, tasks, later) for need in state.needs))
        new_facts, fresh = compose.new_task(new, asked, meta, now, new_id)
        facts += (*old_facts, *new_facts)
        made.append((new, fresh))
    return Entry(tuple(facts), tuple(made), tuple((old, ended[old]) for old in renewed))


def _now(need: UUID, tasks: Mapping[UUID, Task], later: Mapping[UUID, UUID]) -> UUID:
    """What does the work of this one now. What it was retried as before, alone, may be done again just here."""
    known = {id: state.retried_as for id, state in tasks.items() if state.retried_as is not None} | dict(later)
    while known.get(need, need) != need:
        need = known[need]
    return need


def _end(state: Task, ended: Mapping[UUID, Task], renewed: Mapping[UUID, UUID]) -> list[task.Event]:
    """One that still waits is cancelled here: the release would do so a moment later."""
    if state.status is not Status.WAITING:
        return []
    cause = next(need for need in state.needs if need in renewed)
    return [cancelled_for(cause, ended[cause])]
