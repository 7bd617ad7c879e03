"""The life of a task as the design tells it, with no word of the program: what may happen, and what is seen then.

Every function answers with the life after it; the same life means that nothing happened."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

BAD = ("failed", "cancelled")
ENDS = ("completed", "failed", "cancelled")
MOST_LOST = 20


@dataclass(frozen=True, slots=True)
class Life:
    status: str
    story: tuple[str, ...]  # the names of its facts
    kind: str
    most: int  # attempts
    due: datetime | None = None
    needs: tuple[UUID, ...] = ()
    stumbles: int = 0
    lost: int = 0
    cancelling: bool = False  # somebody has asked its holder to stop
    caused: bool = False  # cancelled because of another task
    silent: bool = False  # its lease has run out
    progress: float | None = None
    shown: Any = None  # what its end shows: the result, or the error
    retried_as: UUID | None = None

    @property
    def turn(self) -> int:
        return self.story.count("started")

    @property
    def open(self) -> bool:
        return self.status not in ("complete", *BAD)

    def told(self, status: str, *facts: str, **more: Any) -> "Life":
        return replace(self, status=status, story=self.story + facts, **more)


@dataclass(slots=True)
class Lives:
    """All that was accepted."""

    tasks: dict[UUID, Life] = field(default_factory=dict)
    things: dict[str, tuple[str, ...]] = field(default_factory=dict)  # the stories of accounts and orders, by stream
    keys: dict[str, bytes] = field(default_factory=dict)  # the first answer under each idempotency key
    reports: set[UUID] = field(default_factory=set)  # ids of facts: none is told twice

    def copy(self) -> "Lives":
        return Lives(dict(self.tasks), dict(self.things), dict(self.keys), set(self.reports))

    def last(self, id: UUID) -> UUID:
        """The task that does the work of this one now."""
        while (new := self.tasks[id].retried_as) is not None:
            id = new
        return id


def asked(kind: str, most: int, now: datetime, due: datetime | None = None, needs: tuple[UUID, ...] = ()) -> Life:
    status = "waiting" if needs else "scheduled" if due is not None and due > now else "queued"
    return Life(status, (status,), kind, most, due, needs)


def start(life: Life, silent: bool = False) -> Life:
    if life.status != "queued":
        return life
    return life.told("in_progress", "started", silent=silent, progress=None)


def held(life: Life, turn: int) -> bool:
    return life.status == "in_progress" and life.turn == turn


def beat(life: Life, turn: int, done: float | None) -> Life:
    """The holder lives."""
    return replace(life, silent=False, progress=life.progress if done is None else done) if held(life, turn) else life


def report(life: Life, turn: int, done: float) -> Life:
    return life.told("in_progress", "progressed", progress=done) if held(life, turn) else life


def expire(life: Life) -> Life:
    """The holder is not heard of any more."""
    return replace(life, silent=True) if life.status == "in_progress" else life


def end(life: Life, turn: int, how: str, shown: Any, again: datetime) -> Life:
    """Its holder says how the attempt ended: done, stumbled, refused or stopped."""
    if not held(life, turn):
        return life
    match how:
        case "done":
            return life.told("complete", "completed", shown=shown)
        case _ if life.cancelling:
            return life.told("cancelled", "cancelled")
        case "stopped":
            return life.told("queued", "rescued", "queued")
        case "stumbled" if life.stumbles + 1 < life.most:
            return life.told("scheduled", "stumbled", stumbles=life.stumbles + 1, due=again)
        case _:
            return life.told("failed", "failed", shown=shown)


def rescue(life: Life) -> Life:
    """The lifeline finds that its lease has run out."""
    if life.status != "in_progress" or not life.silent:
        return life
    if life.cancelling:
        return life.told("cancelled", "cancelled")
    if life.lost + 1 >= MOST_LOST:
        return life.told("failed", "failed", shown="worker_lost")
    return life.told("queued", "rescued", "queued", lost=life.lost + 1)


def dispatch(life: Life, now: datetime) -> Life:
    due = life.status == "scheduled" and life.due is not None and life.due <= now
    return life.told("queued", "queued") if due else life


def cancel(life: Life) -> Life:
    if life.status == "in_progress":
        return life if life.cancelling else life.told("in_progress", "cancel_requested", cancelling=True)
    return life.told("cancelled", "cancelled") if life.open else life


def release(life: Life, tasks: Mapping[UUID, Life], now: datetime) -> Life:
    """One that waits goes on when all that it needs is complete, and never if one of them ended otherwise."""
    if life.status != "waiting":
        return life
    needed = [tasks[need].status for need in life.needs]
    if any(status in BAD for status in needed):
        return life.told("cancelled", "cancelled", caused=True)
    if any(status != "complete" for status in needed):
        return life
    status = "scheduled" if life.due is not None and life.due > now else "queued"
    return life.told(status, status)


def release_all(lives: Lives, now: datetime) -> None:
    """Until nothing more follows."""
    while True:
        after = {id: release(life, lives.tasks, now) for id, life in lives.tasks.items()}
        if after == lives.tasks:
            return
        lives.tasks = after


def to_retry(lives: Lives, id: UUID, causes: Mapping[UUID, UUID | None]) -> list[UUID]:
    """The task and the rest of its chain: what waits for one of them, or was cancelled because of one. None of them
    where it cannot be retried: only what failed or was cancelled can be, once, and only after what it needs."""
    life = lives.tasks[id]
    if life.status not in BAD or life.retried_as or any(_last(lives, need).status in BAD for need in life.needs):
        return []
    found = [id]
    for _ in lives.tasks:
        found += [
            one
            for one, other in lives.tasks.items()
            if one not in found
            and other.retried_as is None
            and (causes.get(one) in found if other.caused else other.status == "waiting" and {*other.needs} & {*found})
        ]
    return found


def _last(lives: Lives, id: UUID) -> Life:
    return lives.tasks[lives.last(id)]


def retry(lives: Lives, renewed: Mapping[UUID, UUID]) -> None:
    """New tasks do the work of these; each needs what the old one needed, as it was retried last."""
    needed = {old: [lives.last(need) for need in lives.tasks[old].needs] for old in renewed}
    for old, new in renewed.items():
        life, needs = lives.tasks[old], tuple(renewed.get(need, need) for need in needed[old])
        ended = life.told("cancelled", "cancelled", caused=True) if life.status == "waiting" else life
        lives.tasks[old] = ended.told(ended.status, "retried", retried_as=new)
        status = "waiting" if needs else "queued"
        lives.tasks[new] = Life(status, (status,), life.kind, life.most, needs=needs)
