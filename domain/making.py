"""How far a video is, as its tasks tell: one status for all of them, and one for each rendition."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from uuid import UUID

from domain import lineage, transcoding
from domain.outcome import Error
from domain.record import Record
from domain.task import ENDED, Status, Task
from domain.video import Video


class State(StrEnum):
    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Stage(StrEnum):
    """What it is at."""

    PROBE = "probe"
    TRANSCODE = "transcode"
    DONE = "done"


class Size(Record, frozen=True):
    """A rendition on its way."""

    name: str
    width: int
    height: int
    status: State
    progress: float


class Making(Record, frozen=True):
    """`progress` is from 0 to 1. `error` is that of the first task that failed; `to_retry` is that task, or the first
    one that was cancelled: with it, whatever needs it is done again."""

    status: State
    progress: float
    stage: Stage
    renditions: tuple[Size, ...] = ()
    error: Error | None = None
    to_retry: UUID | None = None


def told(video: Video, tasks: Mapping[UUID, Task]) -> Making:
    """`tasks` are all that ever worked for it; none are needed once it is complete."""
    sizes = tuple(_sizes(video, lineage.latest(tasks)))
    if video.completed_at is not None:
        return Making(status=State.COMPLETE, progress=1.0, stage=Stage.DONE, renditions=sizes)
    latest = lineage.latest(tasks)
    stage = Stage.PROBE if video.planned is None else Stage.TRANSCODE
    id, first = min(_broken(latest), key=lambda one: str(one[1].finished_at), default=(None, None))
    return Making(
        status=unfinished(state_of(latest.values())),
        progress=round(_progress(video, latest), 4),
        stage=stage,
        renditions=sizes,
        error=first.error if first is not None else None,
        to_retry=id,
    )


def _broken(latest: Mapping[UUID, Task]) -> list[tuple[UUID, Task]]:
    """The tasks that failed or were cancelled, without those that only needed one of them."""
    ended = {id: one for id, one in latest.items() if one.status in (Status.FAILED, Status.CANCELLED)}
    return [(id, one) for id, one in ended.items() if not set(one.needs) & ended.keys()]


def of_all(tasks: Mapping[UUID, Task]) -> tuple[State, Error | None]:
    """The status of whatever these tasks work for, and the error of the first of them that failed."""
    latest = lineage.latest(tasks)
    failed = [state for state in latest.values() if state.status is Status.FAILED]
    first = min(failed, key=lambda one: str(one.finished_at), default=None)
    return state_of(latest.values()), first.error if first is not None else None


def state_of(states: Iterable[Task]) -> State:
    """Whoever still works on it has not failed yet."""
    found = {state.status for state in states}
    open = found - ENDED
    if open:
        begun = open & {Status.IN_PROGRESS} or found & {Status.COMPLETE, Status.FAILED}
        return State.IN_PROGRESS if begun else State.QUEUED
    if Status.FAILED in found:
        return State.FAILED
    if Status.CANCELLED in found:
        return State.CANCELLED
    return State.COMPLETE if found else State.QUEUED


def unfinished(state: State) -> State:
    """All tasks have ended well, and what follows from that is about to be written."""
    return State.IN_PROGRESS if state is State.COMPLETE else state


def _progress(video: Video, latest: Mapping[UUID, Task]) -> float:
    """The looking counts for a hundredth; then every second of picture and sound counts the same."""
    if video.planned is None:
        return 0.0
    weights = [(_weight(state), _share(state)) for state in latest.values() if state.kind != transcoding.PROBE.name]
    whole = sum(weight for weight, _ in weights)
    return 0.01 + 0.99 * sum(weight * share for weight, share in weights) / whole if whole else 0.01


def share(tasks: Mapping[UUID, Task]) -> float:
    """How much of the work of these tasks is done, each of them counted the same, from 0 to 1."""
    latest = lineage.latest(tasks).values()
    return round(sum(map(_share, latest)) / len(latest), 4) if latest else 0.0


def _weight(state: Task) -> float:
    return 1.0 if state.kind == transcoding.SEGMENT.name else 0.5


def _share(state: Task) -> float:
    if state.status is Status.COMPLETE:
        return 1.0
    told = state.progress
    return min(max(told.done / told.total, 0.0), 1.0) if told is not None and told.total > 0 else 0.0


def _sizes(video: Video, latest: Mapping[UUID, Task]) -> Iterable[Size]:
    ready = {one.rendition for one in video.playables}
    for one in video.planned.renditions if video.planned is not None else ():
        of_it = [state for state in latest.values() if state.request.get("rendition") == one.name]
        done = one.name in ready
        share = sum(map(_share, of_it)) / len(of_it) if of_it else 0.0
        yield Size(
            name=one.name,
            width=one.width,
            height=one.height,
            status=State.COMPLETE if done else unfinished(state_of(of_it)),
            progress=1.0 if done else round(share, 4),
        )
