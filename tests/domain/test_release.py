"""Which waiting tasks are free, and what becomes of a chain that broke?"""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain import again, compose, task
from domain.outcome import Error
from domain.release import release
from domain.task import Status, Task
from infra.clock import new_id
from tests.making import META, NOON, asked

A, B, C, D = (UUID(int=number) for number in range(1, 5))
LATER = NOON + timedelta(hours=1)
ERROR = Error(type="e", detail="d")
COMPLETE = (task.Queued(asked=asked()), task.Started(turn=1, attempt=1, worker="w"), task.Completed(result=1))
FAILED = (*COMPLETE[:2], task.Failed(error=ERROR))
CANCELLED = (COMPLETE[0], task.Cancelled(by="ann"))
OPEN = COMPLETE[:1]


def given(*events: task.Event) -> Task:
    return task.fold((event, NOON) for event in events)


def waiting(*needs: UUID, due_at: Any = None) -> Task:
    return given(task.Waiting(asked=asked(needs=needs), due_at=due_at))


def ended_for(need: UUID, status: str) -> task.Cancelled:
    return task.Cancelled(by="system", reason=f"It needs the task {need}, which is {status}.", cause=need)


@pytest.mark.parametrize(
    ("one", "other", "due_at", "then"),
    [
        (COMPLETE, COMPLETE, None, [task.Queued()]),
        (COMPLETE, COMPLETE, NOON, [task.Queued()]),
        (COMPLETE, COMPLETE, LATER, [task.Scheduled(due_at=LATER)]),
        (COMPLETE, OPEN, None, []),
        (OPEN, OPEN, None, []),
        (FAILED, OPEN, None, [ended_for(A, "failed")]),
        (OPEN, CANCELLED, LATER, [ended_for(B, "cancelled")]),
    ],
)  # fmt: skip
def test_a_task_is_free_when_all_that_it_needs_is_complete(one: Any, other: Any, due_at: Any, then: Any) -> None:
    needed = {A: given(*one), B: given(*other)}
    assert release(waiting(A, B, due_at=due_at), needed, NOON) == then


@pytest.mark.parametrize("life", [OPEN, COMPLETE, FAILED, CANCELLED])
def test_what_does_not_wait_is_left_alone(life: Any) -> None:
    assert release(given(*life), {}, NOON) == []


def test_a_released_task_is_queued_from_then_on() -> None:
    state = task.evolve(waiting(A), task.Queued(), LATER)
    assert (state.status, state.due_at, state.created_at, state.needs) == (Status.QUEUED, LATER, NOON, (A,))


def test_a_waiting_task_is_cancelled_at_once() -> None:
    assert task.cancel(waiting(A), "ann") == [task.Cancelled(by="ann")]


def cancelled_for(need: UUID) -> Task:
    return task.evolve(waiting(need), task.Cancelled(by="system", cause=need), NOON)


def test_the_rest_of_a_chain_is_what_waits_and_what_was_cancelled_because_of_it() -> None:
    chain = {A: given(*FAILED), B: cancelled_for(A), C: waiting(B), D: cancelled_for(C)}
    assert again.rest(A, chain) == [B, C, D]


def test_what_somebody_cancelled_on_purpose_stays_so_and_what_needs_it_too() -> None:
    on_purpose = task.evolve(waiting(A), task.Cancelled(by="ann"), NOON)
    assert again.rest(A, {A: given(*FAILED), B: on_purpose, C: cancelled_for(B)}) == []


def test_what_was_requested_anew_is_not_requested_again() -> None:
    once_more = task.evolve(cancelled_for(A), task.Retried(task=D), NOON)
    assert again.rest(A, {A: given(*FAILED), B: once_more}) == []


def test_a_retry_requests_the_whole_rest_anew_in_the_same_order() -> None:
    chain = {A: given(*FAILED), B: cancelled_for(A), C: waiting(B)}
    entry = again.retry(A, chain, [], META, NOON, new_id)
    assert entry is not None
    (a, first), (b, second), (c, third) = entry.tasks
    assert [first.status, second.status, third.status] == [Status.QUEUED, Status.WAITING, Status.WAITING]
    assert (first.needs, second.needs, third.needs) == ((), (a,), (b,))
    assert (first.retry_of, second.retry_of, third.retry_of) == (A, B, C)
    old = dict(entry.changed)
    assert {old[A].retried_as, old[B].retried_as, old[C].retried_as} == {a, b, c}
    assert (old[C].status, old[C].cancel_requested.cause) == (Status.CANCELLED, B)  # type: ignore[union-attr]


def test_a_retried_member_needs_what_its_needs_became() -> None:
    state = task.evolve(waiting(A), task.Cancelled(by="ann"), NOON)
    entry = again.retry(B, {B: state}, [(D, given(*COMPLETE))], META, NOON, new_id)
    assert entry is not None and entry.tasks[0][1].needs == (D,)


def test_the_rest_of_a_chain_needs_what_others_that_failed_were_retried_as() -> None:
    package = replace(cancelled_for(A), needs=(A, D))
    again_d = UUID(int=99)
    entry = again.retry(A, {A: given(*FAILED), C: package}, [], META, NOON, new_id, {D: again_d})
    assert entry is not None
    (a, _), (_, renewed) = entry.tasks
    assert renewed.needs == (a, again_d)


def test_the_rest_of_a_chain_needs_what_one_of_it_was_retried_as_before() -> None:
    """B was cancelled on purpose and retried as D; C, asked for later, needs A and the old B; then A failed."""
    retried = task.evolve(task.evolve(waiting(A), task.Cancelled(by="ann"), NOON), task.Retried(task=D), NOON)
    needs_both = replace(cancelled_for(A), needs=(A, B))
    chain = {A: given(*FAILED), B: retried, C: needs_both, D: cancelled_for(A)}
    entry = again.retry(A, chain, [], META, NOON, new_id)
    assert entry is not None
    made = {state.retry_of: (id, state.needs) for id, state in entry.tasks}
    assert made.keys() == {A, C, D}
    assert made[C][1] == (made[A][0], made[D][0])


def test_a_need_that_was_retried_as_a_task_that_is_done_again_here_becomes_the_newest() -> None:
    """A was retried as D, D failed, and C needs both of them."""
    entry = again.retry(D, {D: given(*FAILED), C: waiting(D, A)}, [], META, NOON, new_id, {A: D})
    assert entry is not None
    (d, _), (_, renewed) = entry.tasks
    assert renewed.needs == (d, d)


def test_a_member_whose_need_failed_cannot_be_retried_alone() -> None:
    with pytest.raises(again.Unfit, match=str(A)):
        again.retry(B, {B: cancelled_for(A)}, [(A, given(*FAILED))], META, NOON, new_id)


@pytest.mark.parametrize("life", [OPEN, COMPLETE, (*FAILED, task.Retried(task=D))])
def test_what_goes_well_or_was_retried_is_not_retried(life: Any) -> None:
    assert again.retry(A, {A: given(*life)}, [], META, NOON, new_id) is None


def test_the_first_fact_of_a_waiting_task_carries_its_request() -> None:
    facts, state = compose.new_task(B, asked({"a": 1}, needs=(A,)), META, NOON, new_id, LATER)
    assert [fact.event for fact in facts] == [task.Waiting(asked=asked({"a": 1}, needs=(A,)), due_at=LATER)]
    assert (state.status, state.needs, state.due_at) == (Status.WAITING, (A,), LATER)
