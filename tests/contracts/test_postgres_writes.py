"""Do the writes hold where they meet: coalesced, refused, deadlocked, late, or without an answer?"""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from msgspec.structs import replace

from adapters.postgres.database import Database, Unavailable
from adapters.postgres.log import PostgresLog
from adapters.postgres.tables import MOST_DATA
from adapters.postgres.tasks import PostgresTasks
from domain import catalogue, task
from domain.holding import Change
from domain.log import Entry, Fact, Replayed
from domain.task import Status, Task
from infra.clock import new_id
from tests import making

DONE = task.Completed(result=1)
EVERYTHING = """
SELECT (SELECT count(*) FROM postcommit.events), (SELECT count(*) FROM postcommit.outbox),
       (SELECT count(*) FROM postcommit.idempotency),
       (SELECT md5(string_agg(t::text, '' ORDER BY id)) FROM postcommit.tasks t)
"""


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def address(dsn: Callable[[str], str]) -> str:
    return dsn("postcommit")


@pytest.fixture
async def database(address: str) -> AsyncIterator[Database]:
    database = Database(address, 8)
    yield database
    await database.close()


async def everything(database: Database) -> Any:
    async with database.driver() as connection:
        return await connection.fetchrow(EVERYTHING)


async def claimed(database: Database, count: int, lease_s: float = 60.0) -> dict[UUID, Task]:
    entries = [making.new_task(at=now()) for _ in range(count)]
    log = PostgresLog(database)
    await asyncio.gather(*(log.append(entry) for _, entry in entries))
    ids, facts = [id for id, _ in entries], [new_id() for _ in entries]
    held = await PostgresTasks(database).claim(ids, facts, "w", ["probe"], lease_s, now())
    return {one.id: one.task for one in held}


def with_data(size: int) -> tuple[UUID, Entry]:
    """A task whose first fact has exactly so many bytes of data."""
    _, plain = making.new_task({"payload": ""})
    room = size - len(catalogue.dump(plain.facts[0].event)[1])
    id, entry = making.new_task({"payload": "x" * room})
    assert len(catalogue.dump(entry.facts[0].event)[1]) == size
    return id, entry


def with_first(entry: Entry, **fields: Any) -> Entry:
    return replace(entry, facts=(replace(entry.facts[0], **fields), *entry.facts[1:]))


def too_large() -> tuple[UUID, Entry]:
    return with_data(MOST_DATA + 1)


def bad_subject() -> tuple[UUID, Entry]:
    id, entry = making.new_task()
    return id, with_first(entry, subject="tasks.v1.default.probe.queued.*")


def bad_version() -> tuple[UUID, Entry]:
    id, entry = making.new_task()
    return id, with_first(entry, version=0)


def no_int4() -> tuple[UUID, Entry]:
    """The driver itself refuses it."""
    id, entry = making.new_task()
    return id, with_first(entry, version=2**40)


def large_meta() -> tuple[UUID, Entry]:
    id, entry = making.new_task()
    return id, with_first(entry, meta=replace_meta(entry.facts[0], "x" * 9_000))


def replace_meta(fact: Fact, actor: str) -> Any:
    return type(fact.meta)(actor=actor)


@pytest.mark.parametrize("offend", [too_large, bad_subject, bad_version, no_int4, large_meta])
async def test_of_two_hundred_entries_only_the_offender_is_refused(
    database: Database, offend: Callable[[], tuple[UUID, Entry]]
) -> None:
    log = PostgresLog(database, flights=1)
    bad, offender = offend()
    key = making.once(str(bad))
    entries = [making.new_task() for _ in range(199)]
    entries.insert(120, (bad, replace(offender, once=key)))
    answers = await asyncio.gather(*(log.append(entry) for _, entry in entries), return_exceptions=True)
    assert [n for n, answer in enumerate(answers) if answer is not None] == [120]
    assert isinstance(answers[120], asyncpg.CheckViolationError | asyncpg.DataError)
    stored = await PostgresTasks(database).get([id for id, _ in entries])
    assert set(stored) == {id for id, _ in entries} - {bad} and await log.read(f"task-{bad}") == []
    await log.append(replace(making.new_task()[1], once=key))  # the key of what was refused is free


async def test_a_fact_may_have_so_many_bytes_and_not_one_more(database: Database) -> None:
    log = PostgresLog(database)
    id, fits = with_data(MOST_DATA)
    await log.append(fits)
    assert (await log.read(f"task-{id}"))[0].fact == fits.facts[0]
    with pytest.raises(asyncpg.CheckViolationError, match="events_data_fits"):
        await log.append(with_data(MOST_DATA + 1)[1])


async def test_repeats_need_no_second_connection_while_they_hold_one(address: str) -> None:
    """A pool of one: whoever holds its connection and asks for another would wait for itself."""
    small = Database(address, 1)
    log = PostgresLog(small)
    id, entry = making.new_task()
    await log.append(entry)
    state = entry.tasks[0][1]
    cancelled = replace(making.entry(id, state, task.cancel(state, "ops")), once=making.once(str(id)))
    await log.append(cancelled)
    with pytest.raises(Replayed):
        await log.append(cancelled)
    await small.close()


async def test_a_lost_answer_to_a_repeat_takes_nothing_from_its_neighbours(address: str) -> None:
    class Lossy(PostgresLog):
        async def _first_answer(self, entry: Entry) -> Replayed:
            raise Unavailable("Postgres does not answer.")

    database = Database(address, 4)
    log, key = Lossy(database, flights=1), making.once(str(new_id()))
    await log.append(replace(making.new_task()[1], once=key))
    entries = [making.new_task() for _ in range(20)]
    entries[10] = (entries[10][0], replace(entries[10][1], once=key))
    answers = await asyncio.gather(*(log.append(entry) for _, entry in entries), return_exceptions=True)
    assert [n for n, answer in enumerate(answers) if answer is not None] == [10]
    assert isinstance(answers[10], Unavailable)
    await database.close()


async def test_finishing_and_heartbeats_in_opposite_order_never_deadlock(
    database: Database, dsn: Callable[[str], str]
) -> None:
    tasks = PostgresTasks(database)
    held = await claimed(database, 30)
    ids = list(held)
    told: list[task.Event] = [task.Progressed(done=1, total=2)]
    for _ in range(200):
        one, other = ([making.change(id, held[id], told, turn=1) for id in ids] for _ in range(2))
        beats: list[tuple[UUID, int, Any]] = [(id, 1, None) for id in ids]
        settled, _, still, _ = await asyncio.gather(
            tasks.settle(one, "worker/w"),
            tasks.settle(other[::-1], "worker/w"),
            tasks.extend(beats[::-1], 60),
            tasks.extend(beats, 60),
        )
        assert len(settled) == 30 and len(still) == 30
    admin = await asyncpg.connect(dsn("postgres"))
    assert await admin.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0
    await admin.close()


async def test_finishes_gathered_in_one_statement_are_all_written(database: Database) -> None:
    held = await claimed(database, 200)
    changes = [making.change(id, state, [DONE], turn=1) for id, state in held.items()]
    assert await PostgresTasks(database).settle(changes, "worker/w") == set(held)
    rows = await PostgresTasks(database).get(list(held))
    assert {row.status for row in rows.values()} == {Status.COMPLETE} and {row.version for row in rows.values()} == {3}


async def test_a_zombies_finish_writes_nothing_at_all(database: Database) -> None:
    tasks = PostgresTasks(database)
    held = await claimed(database, 3, lease_s=-1)
    rescued = [making.change(id, s, task.rescue(s, 1), version=2, expired=True) for id, s in held.items()]
    assert len(await tasks.settle(rescued, "lifeline")) == 3
    await tasks.claim(list(held)[:1], [new_id()], "other", ["probe"], 60, now())
    before = await everything(database)
    zombie = [making.change(id, state, [DONE], turn=1) for id, state in held.items()]
    assert await tasks.settle(zombie, "worker/zombie") == set()
    assert await tasks.extend([(id, 1, None) for id in held], 60) == {}
    assert await everything(database) == before


class Lossy(Database):
    """Loses the answer to the next statement of a name, before or after it was written."""

    losing: str | None = None
    written = True

    async def fetch(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        if name != self.losing:
            return await super().fetch(name, *arguments)
        self.losing = None
        if self.written:
            await super().fetch(name, *arguments)
        raise Unavailable("The connection was lost.")


@pytest.fixture
async def lossy(address: str) -> AsyncIterator[Lossy]:
    database = Lossy(address, 4)
    yield database
    await database.close()


async def test_a_claim_whose_answer_was_lost_is_found_again(lossy: Lossy) -> None:
    tasks, ids = PostgresTasks(lossy), [await asked_for(lossy) for _ in range(3)]
    await tasks.claim(ids[:1], [new_id()], "other", ["probe"], 60, now())
    lossy.losing = "claim_tasks"
    held = await tasks.claim(ids, [new_id() for _ in ids], "w", ["probe"], 60, now())
    assert {one.id for one in held} == set(ids[1:])
    assert all((one.task.worker, one.task.turn, one.correlation_id) == ("w", 1, "c-1") for one in held)
    changes = [making.change(one.id, one.task, [DONE], turn=1) for one in held]
    assert await tasks.settle(changes, "worker/w") == set(ids[1:])


async def test_a_claim_that_was_never_written_is_none(lossy: Lossy) -> None:
    """An answer would say that the task was looked at, and its bell would be acknowledged."""
    tasks, id = PostgresTasks(lossy), await asked_for(lossy)
    lossy.losing, lossy.written = "claim_tasks", False
    with pytest.raises(Unavailable):
        await tasks.claim([id], [new_id()], "w", ["probe"], 60, now())
    assert [one.id for one in await tasks.claim([id], [new_id()], "w", ["probe"], 60, now())] == [id]


async def asked_for(database: Database) -> UUID:
    id, entry = making.new_task(at=now())
    await PostgresLog(database).append(entry)
    return id


async def test_a_claim_that_was_lost_and_taken_over_is_not_found(database: Database) -> None:
    tasks = PostgresTasks(database)
    id, entry = making.new_task(at=now())
    await PostgresLog(database).append(entry)
    fact = new_id()
    [held] = await tasks.claim([id], [fact], "w", ["probe"], -1, now())
    assert len(await database.fetch("find_claims", [fact])) == 1
    change: Change = making.change(id, held.task, task.rescue(held.task, 1), version=2, expired=True)
    await tasks.settle([change], "lifeline")
    assert await database.fetch("find_claims", [fact]) == []
    await tasks.claim([id], [new_id()], "other", ["probe"], 60, now())
    assert await database.fetch("find_claims", [fact]) == []


# One statement.


@pytest.fixture
async def refusing(dsn: Callable[[str], str]) -> AsyncIterator[Callable[[str], Any]]:
    """Makes one table refuse every insert, until the test is over."""
    owner = await asyncpg.connect(dsn("postcommit_owner"))
    tables: list[str] = []

    async def refuse(table: str) -> None:
        tables.append(table)
        trigger = "CREATE TRIGGER refused BEFORE INSERT ON postcommit.{} EXECUTE FUNCTION postcommit.refuse_change()"
        await owner.execute(trigger.format(table))

    yield refuse
    for table in tables:
        await owner.execute(f"DROP TRIGGER refused ON postcommit.{table}")
    await owner.close()


@pytest.mark.parametrize("table", ["events", "outbox", "tasks", "idempotency"])
async def test_an_acceptance_is_written_whole_or_not_at_all(
    database: Database, refusing: Callable[[str], Any], table: str
) -> None:
    await refusing(table)
    before = await everything(database)
    _, entry = making.new_task()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await PostgresLog(database).append(replace(entry, once=making.once(table)))
    assert await everything(database) == before


@pytest.mark.parametrize("table", ["events", "outbox"])
async def test_a_claim_and_a_finish_are_written_whole_or_not_at_all(
    database: Database, refusing: Callable[[str], Any], table: str
) -> None:
    tasks = PostgresTasks(database)
    ((id, held),) = (await claimed(database, 1)).items()
    other, entry = making.new_task(at=now())
    await PostgresLog(database).append(entry)
    await refusing(table)
    before = await everything(database)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await tasks.claim([other], [new_id()], "w", ["probe"], 60.0, now())
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await tasks.settle([making.change(id, held, [DONE])], "w")
    assert await everything(database) == before
