"""The doors through which lives of tasks are written in Postgres, as the roles use them; time stands still between."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from itertools import count
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres import readers
from adapters.postgres.database import GONE, Database, statement
from adapters.postgres.following import driver_of
from adapters.postgres.leadership import Leadership
from adapters.postgres.log import PostgresLog, columns
from adapters.postgres.queries import PostgresQueries
from adapters.postgres.readers import RELEASE
from adapters.postgres.release import WaitingRows
from adapters.postgres.tasks import PostgresTasks
from domain import again, task
from domain.holding import Change, Held
from domain.log import Conflict, Entry, Recorded, Replayed
from domain.release import release_waiting
from infra.app import KINDS as ALL_KINDS
from infra.app import QUEUES
from infra.clock import Clock
from infra.roles.lifeline import Lifeline
from tests.making import KIND, META, NOON

KINDS = ALL_KINDS | {KIND.name: KIND}
LEASE_S, SILENT_S = 60.0, -1.0
CLEAN = """
ALTER TABLE postcommit.events DISABLE TRIGGER append_only_rows;
ALTER TABLE postcommit.ledger DISABLE TRIGGER append_only_rows;
DELETE FROM postcommit.outbox; DELETE FROM postcommit.ledger; DELETE FROM postcommit.events;
DELETE FROM postcommit.tasks; DELETE FROM postcommit.idempotency;
ALTER TABLE postcommit.events ENABLE ALWAYS TRIGGER append_only_rows;
ALTER TABLE postcommit.ledger ENABLE ALWAYS TRIGGER append_only_rows;
UPDATE postcommit.cursors SET position = 0;
UPDATE postcommit.balance SET count = 0;
"""
EXPIRE = """UPDATE postcommit.tasks SET lease_until = clock_timestamp() - interval '1 s'
WHERE id = $1 AND status = 'in_progress'"""
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class Standing(PostgresTasks):
    """The rows, for a lifeline by whose clocks time stands still: what is due is due by the database's."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        super().__init__(database)
        self._now = now

    async def clock(self) -> datetime:
        return self._now()


@dataclass(slots=True)
class Doors:
    """Of one database that nobody else uses. Call `clean` before each use."""

    dsn: str
    owner: Connection  # may look at everything, and move a lease's end
    late: Connection  # for a transaction that stays open
    leader: Leadership
    database: Database
    log: PostgresLog
    tasks: PostgresTasks
    queries: PostgresQueries
    now: datetime = NOON
    rung: list[UUID] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=count)
    _lifeline: Lifeline | None = None
    _transaction: Any = None

    def new_id(self) -> UUID:
        """The same ids in every run, in no order: the log's order is not that of its ids."""
        return UUID(bytes=sha256(str(next(self._numbers)).encode()).digest()[:16], version=4)

    async def clean(self) -> None:
        """As if nothing had ever happened."""
        if self._transaction is not None:
            await self.end_late(False)
        await self.owner.execute(CLEAN)
        self.now, self._numbers = NOON, count()
        self._lifeline = Lifeline(
            Standing(self.database, lambda: self.now),
            Clock(now=lambda: self.now, monotonic=lambda: self.now.timestamp(), new_id=self.new_id, chance=lambda: 0.5),
            self._ring,
            _nothing_heard,
            lambda: None,
            away=(Exception,),  # every error is told
            lease_s=0.0,  # no grace: nothing else is late
        )
        await self.elect()

    async def elect(self) -> None:
        """Another relay leads, which knows nothing of what was numbered."""
        await self.leader.__aexit__(None, None, None)
        self.leader = await Leadership.open(self.dsn)

    # What writes. Each tells how it ended: "written", or why not.

    async def append(self, entry: Entry) -> str:
        try:
            await self.log.append(entry)
        except Conflict:
            return "conflict"
        except Replayed as first:
            return f"replayed {first.answer.body.decode()}"
        return "written"

    async def settle(self, change: Change, actor: str) -> str:
        try:
            settled = await self.tasks.settle([change], actor)
        except asyncpg.UniqueViolationError:
            return "taken"
        return "written" if settled == {change.id} else "refused"

    async def claim(self, ids: Sequence[UUID], worker: str, kinds: Sequence[str], lease_s: float) -> list[Held]:
        facts = [self.new_id() for _ in ids]
        return await self.tasks.claim(ids, facts, worker, kinds, lease_s, self.now)

    async def expire(self, id: UUID) -> None:
        """Nobody waits for a lease to run out: its end is moved."""
        await self.owner.execute(EXPIRE, id)

    async def tick(self) -> list[UUID]:
        """The lifeline looks; answers with the tasks whose bells it rang."""
        assert self._lifeline is not None, "Doors are cleaned before they are used."
        self.rung.clear()
        await self._lifeline.tick()
        return list(self.rung)

    async def retry(self, id: UUID) -> tuple[Entry | None, dict[UUID, UUID]]:
        """As the REST API decides it: what to write, and the new tasks by the old ones that they replace."""
        chain = await self.queries.chain(id, 100)
        needed = await self.queries.last_retries(chain[id].needs)
        others = list({need for state in chain.values() for need in state.needs} - {id, *chain, *chain[id].needs})
        last = await self.queries.last_retries(others)
        beside = {old: new for old, (new, _) in zip(others, last, strict=True)}
        try:
            entry = again.retry(id, chain, needed, META, self.now, self.new_id, beside)
        except again.Unfit:
            return None, {}
        return entry, _renewed(entry.tasks) if entry else {}

    # What follows.

    async def sequence(self, limit: int) -> int:
        try:
            return await self.leader.sequence(limit)
        except GONE:  # its session was idle for 3 s, and Postgres has ended it
            await self.elect()
            return await self.leader.sequence(limit)

    async def release(self, limit: int) -> int:
        async def apply(connection: AsyncConnection, recorded: Sequence[Recorded]) -> None:
            await release_waiting(WaitingRows(await driver_of(connection)), recorded, self.now, self.new_id)

        return await readers.step(self.database, RELEASE, apply, limit)

    async def settle_down(self, limit: int) -> None:
        """Number, release and count, so many facts at a time, until nothing more follows."""
        moved = 1
        while moved:
            moved = await self.sequence(limit) + await self.release(limit)
            moved += await readers.step(self.database, "balance", limit=limit)

    # A commit that comes late.

    async def begin_late(self, entry: Entry) -> None:
        self._transaction = self.late.transaction()
        await self._transaction.start()
        await self.late.fetch(statement("append_entries"), *columns([entry]))

    async def end_late(self, commits: bool) -> None:
        await (self._transaction.commit() if commits else self._transaction.rollback())
        self._transaction = None

    async def _ring(self, queue: str, ids: Sequence[UUID]) -> None:
        assert queue in QUEUES
        self.rung.extend(ids)


def _renewed(made: Sequence[tuple[UUID, task.Task]]) -> dict[UUID, UUID]:
    return {state.retry_of: new for new, state in made if state.retry_of is not None}


async def _nothing_heard() -> None:
    """NATS is away."""


@asynccontextmanager
async def opened(dsn: str, superuser: str) -> AsyncIterator[Doors]:
    settings: Mapping[str, str] = {"plan_cache_mode": "force_generic_plan"}  # the same questions after every step
    owner, late = await asyncpg.connect(superuser, server_settings=dict(settings)), await asyncpg.connect(dsn)
    database = Database(dsn, 8)
    doors = Doors(
        dsn,
        owner,
        late,
        await Leadership.open(dsn),
        database,
        PostgresLog(database),
        PostgresTasks(database),
        PostgresQueries(database),
    )
    yield doors
    await doors.leader.__aexit__(None, None, None)
    await database.close()
    late.terminate()
    await owner.close()
