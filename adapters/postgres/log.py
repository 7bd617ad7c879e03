"""The log in Postgres: one statement writes facts, outbox rows, task rows and the idempotency row.

Entries of new streams cannot conflict, so they share a fast lane. Those with an idempotency key share a lane of their
own: a key that somebody else holds keeps nobody waiting who has none. What goes on in a stream that exists takes a
statement of its own, so that one conflict never fails a neighbour."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import asyncpg

from adapters.postgres import codec, settle
from adapters.postgres.answers import first_answer
from adapters.postgres.database import AGAIN, LOST_A_RACE, UNSTORABLE, Database, Unavailable, again, statement
from adapters.postgres.lane import Full, Lane
from adapters.postgres.tables import idempotency
from domain import holding
from domain.log import Conflict, Entry, Overloaded, Recorded, Replayed, Underway, stream_of

SPLITS = (*UNSTORABLE, asyncpg.QueryCanceledError, asyncpg.ProgramLimitExceededError)
ALONE = 3  # statements at once, where entries are written each for itself
KEY_WAIT_S = 4.5  # a try for a key that begins within this time is waited out: 5 s in all


class PostgresLog:
    """The port `domain.log.Log`. `backlog` is how many entries may wait before the next is turned away."""

    def __init__(self, database: Database, backlog: int = 10_000, flights: int = 2) -> None:
        self._database = database
        how: dict[str, Any] = {"size": _size, "flights": flights, "most": 500, "backlog": backlog, "splits": SPLITS}
        self._new: Lane[Entry, None] = Lane(self._write, **how)
        self._keyed: Lane[Entry, None] = Lane(self._write_keyed, **how)
        self._alone = asyncio.Semaphore(ALONE)

    async def append(self, entry: Entry) -> None:
        """Write the entry, durably; see the port. Raises Unavailable where it is not known whether it was written."""
        try:
            await self._append(entry)
        except Full as error:
            raise Overloaded("Too much waits to be written.") from error
        except asyncpg.UniqueViolationError as error:
            raise Conflict(f"Somebody else wrote first: {error}") from error
        except (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError) as error:
            if _of_key(error):
                raise Underway("The Idempotency-Key is being used by another request, which still runs.") from error
            raise Unavailable(f"Postgres is held up: {error}") from error

    async def _append(self, entry: Entry) -> None:
        go_on = entry.changed or _goes_on(entry)
        if entry.once is None and not go_on:
            await self._new.do(entry)
            return
        begin = time.monotonic()
        write = self._write_changed if entry.changed else self._write_alone if go_on else self._keyed.do
        while True:
            try:
                await write(entry)
                return
            except asyncpg.LockNotAvailableError:  # whoever holds a lock that long is waited for beside the lane
                if time.monotonic() - begin > KEY_WAIT_S:
                    raise
                write = self._write_changed if entry.changed else self._write_alone

    async def drain(self) -> None:
        """Wait until everything that was handed in is written."""
        await self._new.drain()
        await self._keyed.drain()

    async def read(self, stream: str) -> Sequence[Recorded]:
        return (await self.streams([stream])).get(stream, [])

    async def streams(self, names: Sequence[str]) -> dict[str, list[Recorded]]:
        """The same for many streams at once; those that do not exist are missing."""
        found: dict[str, list[Recorded]] = {}
        for row in await self._database.fetch("read_streams", list(names)):
            one = codec.recorded(row)
            found.setdefault(one.fact.stream, []).append(one)
        return found

    async def ledger(self, after: int, limit: int) -> Sequence[Recorded]:
        rows = await self._database.fetch("read_ledger", after, limit)
        return [codec.recorded(row) for row in rows]

    async def _write(
        self, entries: Sequence[Entry], after: tuple[type[Exception], ...] = AGAIN
    ) -> Sequence[None | Exception]:
        """Write them in one statement, which is tried again `after` these errors."""
        rows = await again(lambda: self._database.fetch_once("append_entries", *columns(entries)), after)
        written = {row["entry"] for row in rows}
        missed = [entry for number, entry in enumerate(entries) if number not in written]
        answers = iter(await asyncio.gather(*map(self._answer, missed)))
        return [None if number in written else next(answers) for number in range(len(entries))]

    async def _write_keyed(self, entries: Sequence[Entry]) -> Sequence[None | Exception]:
        """Together; where one of the keys is held by somebody else, each for itself, so that only that one waits."""
        try:
            return await self._write(entries, LOST_A_RACE)
        except asyncpg.LockNotAvailableError as error:
            if len(entries) == 1:
                return [error]
        return await asyncio.gather(*map(self._write_alone, entries), return_exceptions=True)  # type: ignore[return-value]

    async def _write_alone(self, entry: Entry) -> None:
        async with self._alone:
            [result] = await self._write([entry], LOST_A_RACE)
        if result is not None:
            raise result

    async def _write_changed(self, entry: Entry) -> None:
        written = await again(lambda: self._changes(entry), LOST_A_RACE)
        if not written:  # its connection was given back: the answer needs one, too
            raise await self._first_answer(entry)

    async def _changes(self, entry: Entry) -> bool:
        """Whether it was written; if not, its idempotency key was used before."""
        async with self._database.driver() as connection, connection.transaction():
            rows = await connection.fetch(statement("append_entries"), *columns([_without_changed(entry)]))
            if not rows:
                return False
            changes = holding.changes(entry)
            settled = await connection.fetch(statement("settle_tasks"), *settle.columns(changes))
            if len(settled) < len(changes):
                raise Conflict("The task changed meanwhile.")
        return True

    async def _answer(self, entry: Entry) -> Exception:
        """What an entry is told that was not written; where that cannot be read, its neighbours are not to suffer."""
        try:
            return await self._first_answer(entry)
        except Unavailable as error:
            return error

    async def _first_answer(self, entry: Entry) -> Replayed:
        once = entry.once
        assert once is not None, "Only an idempotency key can keep an entry of new streams from being written."
        found = await first_answer(self._database, once.holder, once.route, once.key)
        assert found is not None, "A key that was used a moment ago is kept for seven days."
        return Replayed(*found)


def _of_key(error: asyncpg.PostgresError) -> bool:
    """Whether the lock that could not be had is that of an idempotency key, which another transaction is writing."""
    return idempotency.name in (error.context or "")


def columns(entries: Sequence[Entry]) -> list[list[Any]]:
    """The arguments of append_entries.sql."""
    keys, facts, tasks = [], [], []
    for number, entry in enumerate(entries):
        if (once := entry.once) is not None:
            answer = once.answer
            keys.append(
                (
                    number,
                    once.holder,
                    once.route,
                    once.key,
                    once.fingerprint,
                    answer.status,
                    answer.location,
                    answer.body,
                )
            )
        facts += [(number, *codec.fact_columns(fact)) for fact in entry.facts]
        tasks += _task_rows(number, entry)
    return [
        list(range(len(entries))),
        *codec.transposed(keys, 8),
        *codec.transposed(facts, 11),
        *codec.transposed(tasks, 18),
    ]


def _task_rows(number: int, entry: Entry) -> list[tuple[Any, ...]]:
    last = {fact.stream: fact for fact in entry.facts}
    rows = []
    for id, task in entry.tasks:
        fact = last[stream_of("task", id)]
        rows.append(
            (
                number,
                id,
                task.version,
                task.status,
                task.kind,
                task.queue,
                codec.text(task.request),
                codec.optional(task.personal or None),
                task.max_attempts,
                task.created_at,
                task.due_at,
                task.by,
                task.retry_of,
                fact.id,
                fact.meta.request_id,
                fact.meta.correlation_id,
                fact.meta.traceparent,
                codec.array(task.needs),
            )
        )
    return rows


def _goes_on(entry: Entry) -> bool:
    """Whether it writes to a stream that exists: there somebody else may have written first."""
    first: dict[str, int] = {}
    for fact in entry.facts:
        first.setdefault(fact.stream, fact.version)
    return any(version > 1 for version in first.values())


def _without_changed(entry: Entry) -> Entry:
    """The entry's new streams and its key; the facts of `changed` go with their rows."""
    changed = {stream_of("task", id) for id, _ in entry.changed}
    return Entry(tuple(fact for fact in entry.facts if fact.stream not in changed), entry.tasks, once=entry.once)


def _size(entry: Entry) -> int:
    """A guess of an entry's bytes, so that one statement stays small; requests are measured where they come in."""
    return 1024 * len(entry.facts) + sum([len(codec.ENCODER.encode(task.request)) for _, task in entry.tasks])
