"""The simulated Postgres: the rows of `adapters.memory`, and around them what matters about a database when things go
wrong: locks, commits that come late, numbers that are lost, sessions that die, one advisory lock, clocks.

Whatever is written is looked at by `checks` in the moment in which it commits."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from adapters.memory import Memory
from adapters.postgres.database import Unavailable
from domain.log import Fact
from domain.mirror import Line
from domain.task import Status, Task
from tests.making import NOON
from tests.simulation.checks import Checks
from tests.simulation.wire import Answer, Scene, ask, simply

LOCK_S = 1.0  # lock_timeout
T = TypeVar("T")
Act = Callable[[Answer[T]], None]
Skip = Callable[[set[UUID]], None]


def away() -> Exception:
    return Unavailable("Postgres does not answer.")


def done(call: Coroutine[Any, Any, T]) -> T:
    """The answer of the dictionaries, which never wait."""
    try:
        call.send(None)
    except StopIteration as answer:
        value: T = answer.value
        return value
    raise AssertionError("The dictionaries waited.")


@dataclass
class Postgres:
    scene: Scene
    checks: Checks
    told: Callable[[int], None] = lambda position: None  # looks at the mirror's cursor as it is written
    up: bool = True
    lives: int = 0  # how often it was started again
    jumped_s: float = 0.0  # of its clock
    memory: Memory = field(init=False)
    outbox: dict[int, Fact] = field(default_factory=dict)  # by number: what is to be sequenced
    lines: list[Line] = field(default_factory=list)  # the ledger, as messages
    number: int = 0  # the last that the outbox has handed out
    writers: set[str] = field(default_factory=set)  # transactions that may still write into the outbox
    locked: set[object] = field(default_factory=set)  # ids of tasks, and names of cursors
    leader: Any = None  # the session that holds the advisory lock
    heard: tuple[Any, float] = (None, 0.0)  # which session was heard last, and when
    cursors: dict[str, int] = field(default_factory=dict)
    epochs: list[str] = field(default_factory=lambda: ["epoch-0"])
    skipped: set[tuple[UUID, int]] = field(default_factory=set)  # what a claim passed by, because it was locked
    transactions: list[Any] = field(default_factory=list)  # of readers, open
    _waiting: list[Callable[[], None]] = field(default_factory=list)  # for locks
    _transactions: int = 0

    def __post_init__(self) -> None:
        self.memory = Memory(self.clock)

    def clock(self) -> datetime:
        return NOON + timedelta(seconds=self.scene.loop.now + self.jumped_s)

    async def read(self, effect: Callable[[], T]) -> T:
        return await ask(self.scene, simply(effect), away, self.is_up)

    async def act(self, act: Act[T]) -> T:
        return await ask(self.scene, act, away, self.is_up)

    def is_up(self) -> bool:
        return self.up

    def stop(self) -> None:
        """It is gone, and with it every transaction that has not committed, and every session."""
        self.up = False
        self.lives += 1
        for transaction in list(self.transactions):
            transaction.roll_back()

    def start(self) -> None:
        self.up = True

    # Statements that write.

    def write(self, ids: Sequence[UUID], most: int, effect: Callable[[], T], skip: Skip | None = None) -> Act[T]:
        """A statement that writes at most `most` facts of these tasks, at once or with a late commit. `skip` is told
        which of them are locked; a statement that cannot do without these waits."""

        def act(answer: Answer[T]) -> None:
            locked = {id for id in ids if id in self.locked}
            if locked and not self._passed_by(locked, skip):
                self._wait(locked, answer, act)
            elif self.scene.strikes(self.scene.weather.late):
                self._later([id for id in ids if id not in locked], most, effect, answer)
            else:
                simply(lambda: self._committed(effect), late=True)(answer)

        return act

    def _passed_by(self, locked: set[UUID], skip: Skip | None) -> bool:
        if skip is None:
            return False
        skip(locked)
        return True

    def _later(self, ids: Sequence[UUID], most: int, effect: Callable[[], T], answer: Answer[T]) -> None:
        """Numbers are taken now, and seen when it commits; where it does not they are lost."""
        transaction, life = self.begin(), self.lives
        numbers = self.take(most)
        self.locked.update(ids)

        def commit() -> None:
            self.end(transaction, ids)
            if life != self.lives or self.scene.strikes(0.1):
                self.scene.note("rolled back")
                answer.fail(away())
            else:
                simply(lambda: self._committed(effect, numbers), late=True)(answer)

        self.scene.note("late commit")
        self.scene.loop.later(self.scene.random.random() * 0.4, commit)

    def _committed(self, effect: Callable[[], T], numbers: Sequence[int] = ()) -> T:
        value = effect()
        self.publish(numbers)
        return value

    def publish(self, numbers: Sequence[int] = ()) -> None:
        """What the rows have written is in the outbox now, under these numbers or the next ones."""
        facts = self.memory.unnumbered()
        if self.scene.trace is not None:
            self._tell(facts)
        for fact, number in zip(facts, [*numbers, *self.take(max(len(facts) - len(numbers), 0))], strict=False):
            self.outbox[number] = fact
        self.checks.written(facts, self.memory)

    def _tell(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            self.scene.tell(f"wrote {type(fact.event).__name__}", task=fact.stream[-4:], version=fact.version)

    def take(self, count: int) -> list[int]:
        self.number += count
        return list(range(self.number - count + 1, self.number + 1))

    # Transactions and locks.

    def begin(self) -> str:
        self._transactions += 1
        name = f"{self._transactions}"
        self.writers.add(name)
        return name

    def end(self, transaction: str, locks: Sequence[object]) -> None:
        self.writers.discard(transaction)
        self.locked.difference_update(locks)
        waiting, self._waiting = self._waiting, []
        for wake in waiting:
            self.scene.loop.later(0.0, wake)

    def _wait(self, locks: set[UUID], answer: Answer[T], again: Act[T]) -> None:
        self.lock_wait(locks, answer, lambda: again(answer))

    def lock_wait(self, locks: set[Any], answer: Answer[T], then: Callable[[], None]) -> None:
        """Go on when these are free, or fail after lock_timeout."""
        until, over = self.scene.loop.now + LOCK_S, False

        def wake() -> None:
            nonlocal over
            if over:
                return
            if not locks & self.locked:
                over = True
                then()
            elif self.scene.loop.now >= until:
                over = True
                answer.fail(asyncpg.LockNotAvailableError("canceling statement due to lock timeout"))
            else:
                self._waiting.append(wake)

        self._waiting.append(wake)
        self.scene.loop.later(LOCK_S, wake)

    # The relay's part.

    def sequence(self, low: int, limit: int) -> dict[str, Any]:
        """As sequence_outbox.sql."""
        numbers = sorted(number for number in self.outbox if number > low)[:limit]
        facts = [self.outbox.pop(number) for number in numbers]
        self.memory.number(facts)
        for fact in facts:
            position = len(self.lines) + 1
            headers = {"ce-sequence": str(fact.version)}
            self.lines.append(Line(position, str(fact.id), fact.subject, headers, b"", fact.at))
        self.checks.numbered(facts)
        if facts:
            self.scene.tell("numbered", facts=len(facts), last=len(self.lines))
        return {"moved": numbers, "last": len(self.lines)}

    def oldest_queued(self, queue: str) -> int | None:
        """As oldest_queued.sql."""
        tasks = [
            row for row in self.memory._rows.values() if (row.task.status, row.task.queue) == (Status.QUEUED, queue)
        ]
        last = [row.last.id for row in tasks]
        return min((position for id in last if (position := self.memory.position(id))), default=None)

    def row(self, id: UUID) -> Task | None:
        found = self.memory._rows.get(id)
        return None if found is None else found.task
