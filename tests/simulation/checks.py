"""What must hold after every step, whatever happens; `Broken` says what does not.

The streams are folded here a second time, fact by fact as it commits, and every row is compared with its fold."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from msgspec.structs import replace

from adapters.memory import Memory
from domain import balance, task
from domain.log import Fact, Recorded
from domain.task import Status, Task

ENDED = (Status.COMPLETE, Status.FAILED, Status.CANCELLED)
OUTCOMES = (task.Completed, task.Failed, task.Cancelled)


class Broken(AssertionError):
    """A promise that was not kept."""


@dataclass
class Checks:
    folds: dict[str, Task] = field(default_factory=dict)  # by stream
    ends: Counter[str] = field(default_factory=Counter)  # by stream
    positions: dict[UUID, int] = field(default_factory=dict)  # by fact
    reached: dict[str, int] = field(default_factory=dict)  # the version that was numbered last, by stream
    applied: dict[str, int] = field(default_factory=dict)  # by reader
    counts: Counter[str] = field(default_factory=Counter)  # what the reader `balance` has counted
    events: Counter[str] = field(default_factory=Counter)  # how often each was written
    open: int = 0

    def require(self, holds: bool, words: str) -> None:
        if not holds:
            raise Broken(words)

    def written(self, facts: Sequence[Fact], memory: Memory) -> None:
        """These have committed together."""
        for fact in facts:
            self._fold(fact)
        for stream in {fact.stream: None for fact in facts}:
            row = memory._rows[UUID(stream[5:])].task
            self.require(same(row, self.folds[stream]), f"The row of {stream} is not the fold of its stream.")

    def _fold(self, fact: Fact) -> None:
        before, event = self.folds.get(fact.stream, Task()), fact.event
        assert isinstance(event, task.Event)
        self.require(fact.version == before.version + 1, f"{fact.stream} goes from {before.version} to {fact.version}.")
        self.events[type(event).__name__] += 1
        after = self.folds[fact.stream] = task.evolve(before, event, fact.at)
        self.require(after.turn in (before.turn, before.turn + 1), f"The turn of {fact.stream} went to {after.turn}.")
        if isinstance(event, task.Started):
            self.require(after.turn == before.turn + 1, f"{fact.stream} was started twice under turn {after.turn}.")
            self.require(before.status is Status.QUEUED, f"{fact.stream} was started while {before.status}.")
        if isinstance(event, OUTCOMES):
            self.ends[fact.stream] += 1
            self.require(self.ends[fact.stream] == 1, f"{fact.stream} ended a second time, as {after.status}.")
        self.require(before.status not in ENDED, f"{fact.stream} went on after its end: {event}.")
        self.open += (before.status is Status.UNKNOWN) - (after.status in ENDED)
        if before.status is Status.WAITING:
            self._released(fact.stream, before, event)

    def _released(self, stream: str, before: Task, event: task.Event) -> None:
        needed = [self.folds[f"task-{id}"].status for id in before.needs]
        match event:
            case task.Queued() | task.Scheduled():
                ready = all(status is Status.COMPLETE for status in needed)
                self.require(ready, f"{stream} was released while what it needs is {needed}.")
            case task.Cancelled(cause=UUID() as cause):
                why = self.folds[f"task-{cause}"].status
                self.require(why in (Status.FAILED, Status.CANCELLED), f"{stream} was cancelled for one that is {why}.")
            case task.Cancelled():
                return
            case _:
                raise Broken(f"{stream} waited, and then: {event}.")

    def numbered(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            self.require(fact.id not in self.positions, f"The fact {fact.id} has two positions.")
            self.positions[fact.id] = len(self.positions) + 1
            before = self.reached.get(fact.stream, 0)
            self.require(fact.version == before + 1, f"{fact.stream} is numbered {fact.version} after {before}.")
            self.reached[fact.stream] = fact.version

    def applied_by(self, reader: str, recorded: Sequence[Recorded]) -> None:
        """What a reader made of these has committed."""
        for one in recorded:
            before = self.applied.get(reader, 0)
            self.require(one.position == before + 1, f"{reader} applied {one.position} after {before}.")
            self.applied[reader] = before + 1
        if reader == "balance":
            self.counts.update(balance.counts(recorded))

    def balanced(self, rest: Sequence[Recorded]) -> None:
        """What the reader counted, with the few facts after its cursor, against the rows that are open."""
        total = self.counts + balance.counts(rest)
        ended = sum(total[name] for name in balance.NAMES[1:])
        still = total["accepted"] - ended
        self.require(still == self.open, f"The balance says that {still} are open, and {self.open} are.")


def same(row: Task, fold: Task) -> bool:
    """Progress in the row is finer than in the log while the task runs."""
    return row == (replace(fold, progress=row.progress) if row.status is Status.IN_PROGRESS else fold)
