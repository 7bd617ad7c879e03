"""The life of a task, whatever its kind: asked for, worked on, ended.

             requested
                 │
                 ├─▶ waiting ────────┐     (needs others; released when all of them are complete)
                 │      │            ▼
                 ├──────┴─▶ scheduled ──▶ queued ──▶ in_progress ──▶ complete
                 │          (due later)    ▲ ▲            │  │
                 └─────────────────────────┘ │  rescued   │  └──▶ failed   (refused, or no attempt left)
                                ▲            └────────────┤
                                └── stumbled, due again ──┘

       cancelled: from waiting, scheduled and queued at once; from in_progress by request, confirmed by the worker

Every decision takes the task as the log tells it and answers with the events that follow; deciding the same thing
twice answers with none, because messages arrive at least once. `turn` is the fence: the number of this delivery. A
worker whose turn has passed decides nothing. An outcome, once shown, never changes: a retry is a new task.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any, assert_never
from uuid import UUID

from msgspec.structs import replace

from domain import outcome
from domain.kind import AnyKind
from domain.outcome import Error, Outcome, Progress
from domain.record import Personal, Record

MOST_LOST = 20  # holders that one task may lose before it fails: a task that kills its worker must not loop for ever
STEP = 0.05  # the smallest progress worth a line in the log

# What is said of a task.


class CancelRequest(Record, frozen=True):
    at: datetime
    by: str
    reason: str
    cause: UUID | None = None  # the needed task that failed or was cancelled


class Asked(Record, frozen=True, kw_only=True):
    """The request itself; it stands in the first event of every task."""

    kind: str
    queue: str
    request: dict[str, Any]
    personal: Personal[dict[str, Any]] = {}  # stored apart
    max_attempts: int
    by: str
    retry_of: UUID | None = None
    needs: tuple[UUID, ...] = ()  # tasks that must be complete before


# What happened. Names and fields are stored for ever: change them by adding, never by editing.


class Queued(Record, frozen=True):
    """Ready for a worker. The first of its kind in a stream carries the request."""

    asked: Asked | None = None


class Scheduled(Record, frozen=True):
    """Due later. Carries the request where it is the first of its stream."""

    due_at: datetime
    asked: Asked | None = None


class Waiting(Record, frozen=True):
    """Needs others. Always the first of its stream."""

    asked: Asked
    due_at: datetime | None = None


class Started(Record, frozen=True):
    """A worker has claimed it. Only who has the newest turn may tell more."""

    turn: int
    attempt: int
    worker: str


class Progressed(Record, frozen=True):
    """How far the work is: `done` of `total` units. `note` is for people."""

    done: float
    total: float
    unit: str = ""
    note: str = ""


class Stumbled(Record, frozen=True):
    """An attempt ended badly; the next one begins at `again_at`."""

    error: Error
    again_at: datetime


class Rescued(Record, frozen=True):
    """The holder is gone. `lost` tells a holder that died from one that was asked to stop."""

    turn: int
    lost: bool


class Completed(Record, frozen=True):
    """Done: the result is final."""

    result: Any
    progress: Progress | None = None


class Failed(Record, frozen=True):
    """Ended badly, for good."""

    error: Error


class CancelRequested(Record, frozen=True):
    """Whoever works on it is asked to stop."""

    by: str
    reason: str = ""


class Cancelled(Record, frozen=True):
    """Ended undone. `cause` is a task that it needed and that did not end well."""

    by: str
    reason: str = ""
    cause: UUID | None = None


class Retried(Record, frozen=True):
    """A new task does the work of this failed one again."""

    task: UUID


Event = (
    Queued
    | Scheduled
    | Waiting
    | Started
    | Progressed
    | Stumbled
    | Rescued
    | Completed
    | Failed
    | CancelRequested
    | Cancelled
    | Retried
)

# What we know.


class Status(StrEnum):
    UNKNOWN = "unknown"
    WAITING = "waiting"
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({Status.COMPLETE, Status.FAILED, Status.CANCELLED})


class Task(Record, frozen=True):
    """A task as its stream tells it."""

    status: Status = Status.UNKNOWN
    version: int = 0  # of its stream
    kind: str = ""
    queue: str = ""
    request: dict[str, Any] = {}
    personal: dict[str, Any] = {}
    max_attempts: int = 0
    attempt: int = 0  # how often it was started
    stumbles: int = 0  # how many attempts ended badly: these use up max_attempts
    lost: int = 0  # how many holders died: these have a cap of their own
    turn: int = 0
    worker: str | None = None
    progress: Progress | None = None
    result: Any = None
    error: Error | None = None
    created_at: datetime | None = None
    due_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    by: str = ""
    needs: tuple[UUID, ...] = ()
    retry_of: UUID | None = None
    retried_as: UUID | None = None
    cancel_requested: CancelRequest | None = None


def evolve(task: Task, event: Event, at: datetime) -> Task:
    """The task after one more fact. Records, never judges: it cannot fail."""
    now = partial(replace, task, version=task.version + 1)
    match event:
        case Queued(asked=asked):
            return now(**_asked(asked, at), status=Status.QUEUED, due_at=task.due_at or at, worker=None)
        case Scheduled(due_at=due_at, asked=asked):
            return now(**_asked(asked, at), status=Status.SCHEDULED, due_at=due_at)
        case Waiting(asked=asked, due_at=due_at):
            return now(**_asked(asked, at), status=Status.WAITING, due_at=due_at)
        case Started(turn=turn, attempt=attempt, worker=worker):
            return now(
                status=Status.IN_PROGRESS, turn=turn, attempt=attempt, worker=worker, started_at=at, progress=None
            )
        case Progressed(done=done, total=total, unit=unit, note=note):
            return now(progress=Progress(done=done, total=total, unit=unit, note=note))
        case Stumbled(error=error, again_at=again_at):
            stumbles = task.stumbles + 1
            return now(
                status=Status.SCHEDULED, stumbles=stumbles, error=error, due_at=again_at, progress=None, worker=None
            )
        case Rescued(lost=lost):
            return now(status=Status.QUEUED, lost=task.lost + lost, progress=None, worker=None)
        case Completed(result=result, progress=progress):
            return now(
                status=Status.COMPLETE, result=result, progress=progress, error=None, finished_at=at, worker=None
            )
        case Failed(error=error):
            return now(status=Status.FAILED, error=error, progress=None, finished_at=at, worker=None)
        case CancelRequested(by=by, reason=reason):
            return now(cancel_requested=CancelRequest(at=at, by=by, reason=reason))
        case Cancelled(by=by, reason=reason, cause=cause):
            asked_for = task.cancel_requested or CancelRequest(at=at, by=by, reason=reason, cause=cause)
            return now(status=Status.CANCELLED, cancel_requested=asked_for, progress=None, finished_at=at, worker=None)
        case Retried(task=new):
            return now(retried_as=new)
        case _:
            assert_never(event)


def _asked(asked: Asked | None, at: datetime) -> dict[str, Any]:
    """What the task is then, where this fact is its first."""
    if asked is None:
        return {}
    return {
        "kind": asked.kind,
        "queue": asked.queue,
        "request": asked.request,
        "personal": asked.personal,
        "max_attempts": asked.max_attempts,
        "by": asked.by,
        "needs": asked.needs,
        "retry_of": asked.retry_of,
        "created_at": at,
    }


def fold(events: Iterable[tuple[Event, datetime]], task: Task | None = None) -> Task:
    """All facts of one stream, in the order of their versions."""
    task = task or Task()
    for event, at in events:
        task = evolve(task, event, at)
    return task


# What we decide.


def ask(task: Task, asked: Asked, now: datetime, due_at: datetime | None = None) -> list[Event]:
    """Request the task: queued at once, scheduled where it is due later, waiting where it needs others."""
    if task.status is not Status.UNKNOWN:
        return []
    if asked.needs:
        return [Waiting(asked=asked, due_at=due_at)]
    return [Scheduled(due_at=due_at, asked=asked)] if due_at is not None and due_at > now else [Queued(asked=asked)]


def dispatch(task: Task, now: datetime) -> list[Event]:
    """Queue what is due."""
    due = task.status is Status.SCHEDULED and task.due_at is not None and task.due_at <= now
    return [Queued()] if due else []


def start(task: Task, worker: str) -> list[Event]:
    """Take a queued task; the turn is one more with every start."""
    if task.status is not Status.QUEUED:
        return []
    return [Started(turn=task.turn + 1, attempt=task.attempt + 1, worker=worker)]


def report(task: Task, turn: int, progress: Progress) -> list[Event]:
    """Tell the log of progress, in steps worth a line."""
    if not _holds(task, turn) or _share(progress) - _share(task.progress) < STEP:
        return []
    return [Progressed(done=progress.done, total=progress.total, unit=progress.unit, note=progress.note)]


def _share(progress: Progress | None) -> float:
    """From 0 to 1, so that one attempt writes a bounded number of lines."""
    return min(max(progress.done / progress.total, 0.0), 1.0) if progress and progress.total > 0 else 0.0


def finish(task: Task, kind: AnyKind, turn: int, ended: Outcome, now: datetime, chance: float) -> list[Event]:
    """End the attempt. A result stands, even where somebody asked to cancel; anything else then gives way to it."""
    if not _holds(task, turn):
        return []
    match ended, task.cancel_requested:
        case outcome.Done(result=result, progress=progress), _:
            return [Completed(result=result, progress=progress)]
        case _, CancelRequest(by=by, reason=reason):
            return [Cancelled(by=by, reason=reason)]
        case outcome.Refused(error=error), None:
            return [Failed(error=error)]
        case outcome.Stumbled(error=error), None if task.stumbles + 1 < task.max_attempts:
            return [Stumbled(error=error, again_at=now + kind.backoff.pause(task.stumbles + 1, chance))]
        case outcome.Stumbled(error=error), None:
            return [Failed(error=error)]
        case outcome.Stopped(), None:
            return _again(task, lost=False)
        case other:
            assert_never(other)


def rescue(task: Task, turn: int, lost: bool = True) -> list[Event]:
    """Queue again what lost its holder, or what its holder gives back (`lost` is false)."""
    if not _holds(task, turn):
        return []
    if task.cancel_requested is not None:
        return [Cancelled(by=task.cancel_requested.by, reason=task.cancel_requested.reason)]
    if lost and task.lost + 1 >= MOST_LOST:
        return [Failed(error=Error(type="worker_lost", detail=f"The task lost its worker {MOST_LOST} times."))]
    return _again(task, lost)


def _again(task: Task, lost: bool) -> list[Event]:
    return [Rescued(turn=task.turn, lost=lost), Queued()]


def cancel(task: Task, by: str, reason: str = "") -> list[Event]:
    """Cancel at once what nobody holds; ask the holder otherwise. An ended task stays as it is."""
    match task.status:
        case Status.WAITING | Status.SCHEDULED | Status.QUEUED:
            return [Cancelled(by=by, reason=reason)]
        case Status.IN_PROGRESS if task.cancel_requested is None:
            return [CancelRequested(by=by, reason=reason)]
        case _:
            return []


def retry(task: Task, new: UUID) -> list[Event]:
    """Note that a new task does this one's work again. Only what failed or was cancelled can be retried, once."""
    retryable = task.status in {Status.FAILED, Status.CANCELLED} and task.retried_as is None
    return [Retried(task=new)] if retryable else []


def asked_again(task: Task, old: UUID, needs: tuple[UUID, ...]) -> Asked:
    """The request of a task that does the work of `old` again. It belongs to whoever asked for the old one, who can so
    follow `retried_as`."""
    return Asked(
        kind=task.kind,
        queue=task.queue,
        request=task.request,
        personal=task.personal,
        max_attempts=task.max_attempts,
        by=task.by,
        retry_of=old,
        needs=needs,
    )


def _holds(task: Task, turn: int) -> bool:
    return task.status is Status.IN_PROGRESS and task.turn == turn
