"""A reader's transaction in the simulated Postgres: it holds locks, sees its own writes, and takes effect as a whole
or not at all. The cursor's row is locked first, so two processes of one reader take turns."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from domain import reading
from domain.holding import Change
from domain.log import Recorded
from domain.task import Status, Task
from tests.simulation.loop import PROCESS
from tests.simulation.postgres import Postgres, away, done
from tests.simulation.wire import Answer, ask, simply

T = TypeVar("T")
MOST = 500  # as adapters.postgres.readers

Apply = Callable[["Transaction", Sequence[Recorded]], Awaitable[None]]


async def step(postgres: Postgres, reader: str, apply: Apply) -> int:
    """As adapters.postgres.readers.step."""
    transaction = Transaction(postgres, reader)
    try:
        applied = await reading.step(transaction, partial(apply, transaction), MOST)
        await transaction.commit()
    finally:
        transaction.leave()
    return applied


async def folding(transaction: "Transaction", recorded: Sequence[Recorded]) -> None:
    """What a reader does that folds the log into its table."""
    await transaction.store(recorded)


class Transaction:
    """The ports `domain.reading.Reading` and `domain.release.Rows`."""

    def __init__(self, postgres: Postgres, reader: str) -> None:
        self._postgres, self._reader, self._process = postgres, reader, PROCESS.get()
        self._name = postgres.begin()
        self._locks: list[object] = []
        self._changed: list[tuple[Change, str, list[int]]] = []  # with the numbers that its facts have taken
        self._folded: list[Recorded] = []
        self._cursor: int | None = None
        self._over = False
        postgres.transactions.append(self)

    # The cursor.

    async def position(self) -> int:
        postgres, cursor = self._postgres, f"cursor {self._reader}"

        def effect() -> int:
            self._lock(cursor)
            return postgres.cursors.get(self._reader, 0)

        def act(answer: Answer[int]) -> None:
            if cursor in postgres.locked:
                postgres.lock_wait({cursor}, answer, lambda: act(answer))
            else:
                simply(effect)(answer)

        return await self._ask(act)

    async def following(self, position: int, limit: int) -> Sequence[Recorded]:
        return await self._ask(simply(lambda: done(self._postgres.memory.ledger(position, limit))))

    async def moved(self, position: int) -> None:
        await self._ask(simply(partial(setattr, self, "_cursor", position)))

    async def store(self, recorded: Sequence[Recorded]) -> None:
        await self._ask(simply(partial(self._folded.extend, recorded)))

    # The rows.

    async def get(self, ids: Sequence[UUID]) -> dict[UUID, Task]:
        return await self._ask(simply(lambda: done(self._postgres.memory.get(ids)) | self._own(ids)))

    async def waiting(self, needs: Sequence[UUID], after: UUID, limit: int) -> dict[UUID, Task]:
        """As find_waiting.sql."""

        def effect() -> dict[UUID, Task]:
            rows, own = self._postgres.memory._rows, self._own()
            found = [(id, own.get(id, row.task)) for id, row in rows.items() if id > after]
            free = [(id, one) for id, one in found if one.status is Status.WAITING and set(needs) & set(one.needs)]
            return dict(sorted(free)[:limit])

        return await self._ask(simply(effect))

    async def settle(self, changes: Sequence[Change], actor: str) -> set[UUID]:
        postgres, ids = self._postgres, {change.id for change in changes}

        def effect() -> set[UUID]:
            passed = [one for one in changes if postgres.memory._passes(one)]
            for change in passed:
                self._lock(change.id)
                self._changed.append((change, actor, postgres.take(len(change.facts))))
            return {change.id for change in passed}

        def act(answer: Answer[set[UUID]]) -> None:
            if locked := (ids & postgres.locked) - set(self._locks):
                postgres.lock_wait(locked, answer, lambda: act(answer))
            else:
                simply(effect)(answer)

        return await self._ask(act)

    # The end.

    async def commit(self) -> None:
        def effect() -> None:
            self.require_open()
            for change, actor, numbers in self._changed:
                passed = done(self._postgres.memory.settle([change], actor))
                assert passed == {change.id}, "A row that is locked changes for nobody else."
                self._postgres.publish(numbers)
            if self._cursor is not None:
                self._postgres.cursors[self._reader] = self._cursor
            self._postgres.checks.applied_by(self._reader, self._folded)
            self.roll_back()

        await ask(self._postgres.scene, simply(effect, late=True), away, self._postgres.is_up)

    def leave(self) -> None:
        """The connection is given back, or was lost: what is not committed by now is rolled back."""
        self._postgres.scene.loop.later(self._postgres.scene.pause(), self.roll_back)

    def roll_back(self) -> None:
        """The locks are free, the numbers lost."""
        if not self._over:
            self._over = True
            self._postgres.transactions.remove(self)
            self._postgres.end(self._name, self._locks)

    def of(self, process: Any) -> bool:
        return self._process is process

    def require_open(self) -> None:
        if self._over:
            raise away()

    def _lock(self, what: Any) -> None:
        self.require_open()
        self._postgres.locked.add(what)
        self._locks.append(what)

    def _own(self, ids: Sequence[UUID] | None = None) -> dict[UUID, Task]:
        own = {change.id: change.after for change, _, _ in self._changed}
        return own if ids is None else {id: own[id] for id in ids if id in own}

    async def _ask(self, act: Callable[[Answer[T]], None]) -> T:
        try:
            return await ask(self._postgres.scene, act, away, self._postgres.is_up)
        except Exception:
            self.leave()
            raise
