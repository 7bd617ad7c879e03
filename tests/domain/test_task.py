"""Is the thinking about tasks right? Given a life so far, when something is decided, then these facts follow."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain import task
from domain.outcome import Done, Error, Outcome, Progress, Refused, Stopped, Stumbled
from domain.task import MOST_LOST, Task
from tests.making import KIND, NOON, asked

ERROR = Error(type="mail_busy", detail="The mail server is busy.")
LATER = NOON + timedelta(hours=1)
NEW = UUID(int=7)
QUEUED = task.Queued(asked=asked())
SCHEDULED = task.Scheduled(due_at=LATER, asked=asked())
STUMBLED = task.Stumbled(error=ERROR, again_at=LATER)
CANCEL = task.CancelRequested(by="ops", reason="too long")
CANCELLED = task.Cancelled(by="ops", reason="too long")
COMPLETED = task.Completed(result={"ok": True})
FAILED = task.Failed(error=ERROR)


def started(turn: int) -> task.Started:
    return task.Started(turn=turn, attempt=turn, worker="w")


def given(*events: task.Event) -> Task:
    return task.fold((event, NOON) for event in events)


RUNNING = (QUEUED, started(1))
SECOND = (*RUNNING, STUMBLED, task.Queued(), started(2))
LAST = (*SECOND, STUMBLED, task.Queued(), started(3))
NOT_RUNNING: list[tuple[task.Event, ...]] = [
    (), (QUEUED,), (SCHEDULED,), (*RUNNING, COMPLETED), (*RUNNING, FAILED), (*RUNNING, CANCELLED), (*RUNNING, STUMBLED),
]  # fmt: skip


@pytest.mark.parametrize(
    ("life", "due_at", "then"),
    [
        ((), None, [QUEUED]),
        ((), NOON, [QUEUED]),
        ((), NOON - timedelta(days=1), [QUEUED]),
        ((), LATER, [SCHEDULED]),
        ((QUEUED,), None, []),
        ((*RUNNING, COMPLETED), None, []),
    ],
)
def test_asking_queues_at_once_or_schedules(life: Any, due_at: Any, then: Any) -> None:
    assert task.ask(given(*life), asked(), NOON, due_at) == then


@pytest.mark.parametrize(
    ("life", "now", "then"),
    [
        ((SCHEDULED,), LATER, [task.Queued()]),
        ((SCHEDULED,), LATER - timedelta(seconds=1), []),
        ((*RUNNING, STUMBLED), LATER, [task.Queued()]),
        ((QUEUED,), LATER, []),
        (RUNNING, LATER, []),
        ((SCHEDULED, CANCELLED), LATER, []),
    ],
)
def test_what_is_due_is_queued(life: Any, now: Any, then: Any) -> None:
    assert task.dispatch(given(*life), now) == then


@pytest.mark.parametrize(
    ("life", "then"),
    [
        ((QUEUED,), [task.Started(turn=1, attempt=1, worker="me")]),
        ((*RUNNING, STUMBLED, task.Queued()), [task.Started(turn=2, attempt=2, worker="me")]),
        ((*RUNNING, task.Rescued(turn=1, lost=True), task.Queued()), [task.Started(turn=2, attempt=2, worker="me")]),
        (RUNNING, []),
        ((SCHEDULED,), []),
        ((QUEUED, CANCELLED), []),
    ],
)
def test_only_what_is_queued_is_started_and_every_start_has_a_turn_of_its_own(life: Any, then: Any) -> None:
    assert task.start(given(*life), "me") == then


@pytest.mark.parametrize(
    ("life", "turn", "ended", "then"),
    [
        (RUNNING, 1, Done(result={"ok": True}), [COMPLETED]),
        ((*RUNNING, CANCEL), 1, Done(result={"ok": True}), [COMPLETED]),
        (RUNNING, 1, Refused(error=ERROR), [FAILED]),
        ((*RUNNING, CANCEL), 1, Refused(error=ERROR), [CANCELLED]),
        (RUNNING, 1, Stumbled(error=ERROR), [task.Stumbled(error=ERROR, again_at=NOON + timedelta(seconds=1))]),
        (SECOND, 2, Stumbled(error=ERROR), [task.Stumbled(error=ERROR, again_at=NOON + timedelta(seconds=2))]),
        (LAST, 3, Stumbled(error=ERROR), [FAILED]),
        ((*RUNNING, CANCEL), 1, Stumbled(error=ERROR), [CANCELLED]),
        (RUNNING, 1, Stopped(), [task.Rescued(turn=1, lost=False), task.Queued()]),
        ((*RUNNING, CANCEL), 1, Stopped(), [CANCELLED]),
        (SECOND, 1, Done(result=1), []),  # a zombie of the first turn
        (RUNNING, 2, Done(result=1), []),
        *[(life, 1, Done(result=1), []) for life in NOT_RUNNING],
    ],
)
def test_an_attempt_ends_as_its_outcome_says(life: Any, turn: int, ended: Outcome, then: Any) -> None:
    assert task.finish(given(*life), KIND, turn, ended, NOON, chance=0.5) == then


@pytest.mark.parametrize(
    ("life", "turn", "lost", "then"),
    [
        (RUNNING, 1, True, [task.Rescued(turn=1, lost=True), task.Queued()]),
        (RUNNING, 1, False, [task.Rescued(turn=1, lost=False), task.Queued()]),
        ((*RUNNING, CANCEL), 1, True, [CANCELLED]),
        ((*RUNNING, CANCEL), 1, False, [CANCELLED]),
        (SECOND, 1, True, []),
        *[(life, 1, True, []) for life in NOT_RUNNING],
    ],
)
def test_a_task_without_its_holder_is_queued_again(life: Any, turn: int, lost: bool, then: Any) -> None:
    assert task.rescue(given(*life), turn, lost) == then


def test_a_task_that_kills_its_workers_fails_in_the_end() -> None:
    state = given(QUEUED)
    for turn in range(1, MOST_LOST):
        state = task.fold([(event, NOON) for event in task.start(state, "w")], state)
        events = task.rescue(state, turn)
        assert events == [task.Rescued(turn=turn, lost=True), task.Queued()]
        state = task.fold([(event, NOON) for event in events], state)
    state = task.fold([(event, NOON) for event in task.start(state, "w")], state)
    [failed] = task.rescue(state, MOST_LOST)
    assert isinstance(failed, task.Failed) and failed.error.type == "worker_lost"


def test_lost_holders_and_given_back_tasks_use_up_no_attempt() -> None:
    state = given(*RUNNING, task.Rescued(turn=1, lost=True), task.Queued(), started(2))
    state = task.fold([(task.Rescued(turn=2, lost=False), NOON), (task.Queued(), NOON)], state)
    assert (state.stumbles, state.lost, state.attempt) == (0, 1, 2)


@pytest.mark.parametrize(
    ("life", "then"),
    [
        ((QUEUED,), [CANCELLED]),
        ((SCHEDULED,), [CANCELLED]),
        ((*RUNNING, STUMBLED), [CANCELLED]),
        (RUNNING, [CANCEL]),
        ((*RUNNING, CANCEL), []),
        ((*RUNNING, COMPLETED), []),
        ((*RUNNING, FAILED), []),
        ((QUEUED, CANCELLED), []),
        ((), []),
    ],
)
def test_cancelling_asks_the_holder_where_there_is_one(life: Any, then: Any) -> None:
    assert task.cancel(given(*life), "ops", "too long") == then


@pytest.mark.parametrize(
    ("life", "then"),
    [
        ((*RUNNING, FAILED), [task.Retried(task=NEW)]),
        ((QUEUED, CANCELLED), [task.Retried(task=NEW)]),
        ((*RUNNING, FAILED, task.Retried(task=NEW)), []),
        ((*RUNNING, COMPLETED), []),
        (RUNNING, []),
        ((QUEUED,), []),
    ],
)
def test_only_what_ended_badly_is_retried_and_only_once(life: Any, then: Any) -> None:
    assert task.retry(given(*life), NEW) == then


def test_a_retry_asks_for_the_same_in_its_owners_name() -> None:
    old = given(*RUNNING, FAILED)
    again = task.asked_again(old, NEW, ())
    assert (again.kind, again.request, again.max_attempts) == (old.kind, old.request, old.max_attempts)
    assert (again.by, again.retry_of) == (old.by, NEW)


@pytest.mark.parametrize(
    ("before", "progress", "told"),
    [
        (None, Progress(done=5, total=100), True),
        (None, Progress(done=4, total=100), False),
        (Progress(done=5, total=100), Progress(done=9, total=100), False),
        (Progress(done=5, total=100), Progress(done=10, total=100), True),
        (Progress(done=50, total=100), Progress(done=10, total=100), False),  # it went backwards
        (None, Progress(done=3, total=0), False),  # of nothing
    ],
)
def test_progress_enters_the_log_in_steps_worth_a_line(before: Any, progress: Progress, told: bool) -> None:
    steps = [task.Progressed(done=before.done, total=before.total)] if before else []
    events = task.report(given(*RUNNING, *steps), 1, progress)
    assert events == ([task.Progressed(done=progress.done, total=progress.total)] if told else [])
    assert task.report(given(*RUNNING, *steps), 2, progress) == []


def test_a_task_is_what_was_asked() -> None:
    state = given(QUEUED)
    wanted = asked()
    assert (state.kind, state.queue, state.request) == (wanted.kind, wanted.queue, wanted.request)
    assert (state.by, state.max_attempts, state.created_at) == (wanted.by, wanted.max_attempts, NOON)
