"""Does the ledger hold every fact once, in order, however late it commits and whoever leads?"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from random import Random
from statistics import median
from uuid import UUID

import asyncpg
import pytest

from adapters.postgres import leadership as leading
from adapters.postgres.database import AGAIN, Database, statement
from adapters.postgres.leadership import LEADER, Leadership
from adapters.postgres.log import PostgresLog, columns
from domain import task
from domain.log import Entry
from domain.task import Task
from infra.clock import new_id
from tests import making
from tests.waiting import until_told


@pytest.fixture
def address(dsn: Callable[[str], str]) -> str:
    return dsn("postcommit")


@pytest.fixture
async def database(address: str) -> AsyncIterator[Database]:
    database = Database(address, 12)
    yield database
    await database.close()


def story(id: UUID, after: int, count: int) -> Entry:
    """Facts of one stream after a version; no row keeps up with them."""
    facts, _ = making.facts(
        id, Task(version=after, queue="default", kind="probe"), [task.Progressed(done=1, total=1)] * count
    )
    return Entry(tuple(facts))


async def write(connection: "asyncpg.Connection[asyncpg.Record]", entries: Sequence[Entry]) -> None:
    await connection.fetch(statement("append_entries"), *columns(entries))


async def read_all(database: Database) -> list[asyncpg.Record]:
    rows: list[asyncpg.Record] = []
    while more := await database.fetch("read_ledger", len(rows), 100_000):
        rows += more
    return rows


async def check_ledger(database: Database, written: int | None = None) -> None:
    """Dense, without duplicates, versions ascending along positions, nothing left over."""
    rows = await read_all(database)
    assert [row["position"] for row in rows] == list(range(1, len(rows) + 1))
    assert len({row["id"] for row in rows}) == len(rows) and (written is None or len(rows) == written)
    seen: dict[str, int] = {}
    for row in rows:
        assert row["version"] > seen.get(row["stream"], 0), "A later fact has an earlier position."
        seen[row["stream"]] = row["version"]
    async with database.driver() as connection:
        assert await connection.fetchval("SELECT count(*) FROM postcommit.outbox") == 0
        assert await connection.fetchval("SELECT count(*) FROM postcommit.events") == len(rows)


async def sequenced(leadership: Leadership, limit: int = 5_000) -> None:
    """Number all that can be seen."""
    while await leadership.sequence(limit):
        pass


async def test_ten_writers_and_four_leaders_leave_one_dense_ledger(address: str, database: Database) -> None:
    random = Random(7)

    async def writer(slow: bool) -> None:
        id, version = new_id(), 0
        for _ in range(40):
            entry = story(id, version, random.randint(1, 3))
            version += len(entry.facts)
            async with database.driver() as connection, connection.transaction():
                await write(connection, [entry])
                if slow and random.random() < 0.5:
                    await connection.execute("SELECT pg_sleep($1)", random.uniform(0, 0.02))  # it commits late

    async def leader(stop: asyncio.Event) -> int:
        moved = 0
        async with await Leadership.open(address) as leadership:
            while not stop.is_set():
                try:
                    moved += await leadership.sequence(random.choice([1, 7, 50]))
                except (asyncpg.UniqueViolationError, *AGAIN):
                    continue
            while more := await leadership.sequence(5_000):
                moved += more
        return moved

    stop = asyncio.Event()
    leaders = [asyncio.create_task(leader(stop)) for _ in range(4)]
    await asyncio.gather(*(writer(slow=n % 2 == 0) for n in range(10)))
    await until_told(lambda: _empty(database))
    stop.set()
    moved = await asyncio.gather(*leaders)
    await check_ledger(database)
    assert sum(moved) == len(await read_all(database)) and sum(map(bool, moved)) > 1


async def _empty(database: Database) -> bool:
    async with database.driver() as connection:
        return not await connection.fetchval("SELECT count(*) FROM postcommit.outbox")


async def test_a_fact_that_commits_after_a_thousand_others_is_not_skipped(
    address: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leading, "LOW_EVERY_S", 0.0)
    async with await Leadership.open(address) as leadership, database.driver() as late:
        id = new_id()
        transaction = late.transaction()
        await transaction.start()
        await write(late, [story(id, 0, 1)])
        async with database.driver() as connection:
            for _ in range(20):
                await write(connection, [story(new_id(), 0, 1) for _ in range(50)])
                await sequenced(leadership)
        await transaction.commit()
        await sequenced(leadership)
    [row] = await PostgresLog(database).read(f"task-{id}")
    assert row.position is not None
    await check_ledger(database)


async def test_the_skipped_beginning_of_the_outbox_never_passes_a_late_commit(
    address: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The smallest case: nothing else commits between the number that is handed out and the mark."""
    monkeypatch.setattr(leading, "LOW_EVERY_S", 0.0)
    async with await Leadership.open(address) as leadership, database.driver() as late:
        await sequenced(leadership)
        async with late.transaction():
            await write(late, [story(new_id(), 0, 1)])
            for _ in range(4):
                await leadership.sequence(10)
        assert await leadership.sequence(10) == 1
    await check_ledger(database)


async def test_a_gap_waits_for_no_transaction_that_wrote_elsewhere(
    address: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report, a dump, an application's own long transaction: their numbers cannot be missing from the outbox."""
    monkeypatch.setattr(leading, "LOW_EVERY_S", 0.0)
    async with (
        await Leadership.open(address) as leadership,
        database.driver() as elsewhere,
        database.driver() as writer,
        elsewhere.transaction(),
    ):
        await elsewhere.execute("UPDATE postcommit.cursors SET at = clock_timestamp() WHERE name = 'audit'")
        await elsewhere.fetch("SELECT FROM postcommit.outbox")
        gap = writer.transaction()
        await gap.start()
        await write(writer, [story(new_id(), 0, 3)])
        await gap.rollback()
        await write(writer, [story(new_id(), 0, 2)])
        assert [await leadership.sequence(10) for _ in range(3)] == [2, 0, 0]
        assert leadership._low == await writer.fetchval(statement("last_outbox_number")) >= 5
    await check_ledger(database)


@pytest.mark.parametrize("seed", range(12))
async def test_in_any_order_of_beginnings_and_commits_nothing_is_skipped(
    address: str, database: Database, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(leading, "LOW_EVERY_S", 0.0)
    random = Random(seed)
    async with AsyncExitStack() as stack:
        leadership = await stack.enter_async_context(await Leadership.open(address))
        free = [await stack.enter_async_context(database.driver()) for _ in range(4)]
        quick = await stack.enter_async_context(database.driver())
        open_now = []
        for _ in range(60):
            match random.choice(["begin", "write", "end", "quick", "look", "look"]):
                case "begin" if free:
                    connection = free.pop()
                    transaction = connection.transaction()
                    await transaction.start()
                    await write(connection, [story(new_id(), 0, 1)])
                    open_now.append((connection, transaction))
                case "write" if open_now:
                    await write(random.choice(open_now)[0], [story(new_id(), 0, 2)])
                case "end" if open_now:
                    connection, transaction = open_now.pop(random.randrange(len(open_now)))
                    await (transaction.commit() if random.random() < 0.8 else transaction.rollback())
                    free.append(connection)
                case "quick":
                    await write(quick, [story(new_id(), 0, 1)])
                case _:
                    await leadership.sequence(random.choice([2, 100]))
        for _, transaction in open_now:
            await transaction.commit()
        await sequenced(leadership)
    await check_ledger(database)


@pytest.mark.parametrize("held_s", [4.0, pytest.param(60.0, marks=pytest.mark.long)], ids=["short", "long"])
async def test_an_open_snapshot_does_not_slow_the_numbering(
    address: str, dsn: Callable[[str], str], database: Database, held_s: float
) -> None:
    """Dead outbox rows stay while any snapshot may see them; the numbering must not read them again and again.

    The same load runs before and while the snapshot is open, so that only the snapshot differs. Pages are counted,
    because they do not depend on what else the machine does; the long form compares times, too."""
    log = PostgresLog(database)
    reader = await asyncpg.connect(dsn("postgres"))  # the service's own role may not idle in a transaction for so long
    async with await Leadership.open(address) as leadership:

        async def pages() -> int:
            """How many pages are read to number five facts; they stay as they are."""
            await log.append(story(new_id(), 0, 5))
            connection = leadership._connection
            async with leadership._busy:
                trial = connection.transaction()
                await trial.start()
                explained = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement('sequence_outbox')}"
                [plan] = json.loads(await connection.fetchval(explained, leadership._low, 5_000))
                await trial.rollback()
            return int(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"])

        async def measured() -> float:
            await log.append(story(new_id(), 0, 5))
            begin = time.perf_counter()
            assert await leadership.sequence(5_000) == 5
            return time.perf_counter() - begin

        async def under_load(seconds: float) -> tuple[list[float], int]:
            begin, rows, times = time.monotonic(), 0, list[float]()
            while time.monotonic() - begin < seconds:
                await asyncio.gather(*(log.append(story(new_id(), 0, 1)) for _ in range(1_000)))
                await sequenced(leadership)
                rows += 1_000
                times += [await measured() for _ in range(15)]
            return times, rows

        before_s, read_before = median((await under_load(min(held_s, 10.0)))[0]), await pages()
        await sequenced(leadership)
        async with reader.transaction(isolation="repeatable_read", readonly=True):
            await reader.fetchval("SELECT count(*) FROM postcommit.events")
            times, rows = await under_load(held_s)
            read_after = await pages()
        await reader.close()
        await sequenced(leadership)
    after_s = median(times[-60:])
    print(f"sequencing five rows: {before_s * 1e3:.2f} ms, {read_before} pages before,", end=" ")
    print(f"{after_s * 1e3:.2f} ms, {read_after} pages beside {rows} dead rows")
    assert rows >= 1_000 and read_after < 2 * read_before
    assert after_s < 2 * before_s or held_s < 60
    await check_ledger(database)


# Leading.


async def test_one_leads_and_the_others_stand_by(address: str) -> None:
    async with await Leadership.open(address) as one, await Leadership.open(address) as two:
        assert await one.lead() and not await two.lead()
        assert await one.leads() and not await two.leads()
        await one.heartbeat()
    async with await Leadership.open(address) as three:
        await until_told(three.lead)


async def test_a_leader_that_stands_still_loses_the_lock_within_seconds(address: str) -> None:
    async with await Leadership.open(address) as frozen, await Leadership.open(address) as standby:
        await until_told(frozen.lead)
        begin = time.monotonic()
        await until_told(standby.lead)
        assert 2.5 < time.monotonic() - begin < 5, "Postgres itself ends the idle session, after 3 s."
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await frozen.sequence(10)


async def test_a_leader_that_talks_but_sends_no_heartbeat_is_ended_by_a_standby(
    address: str, dsn: Callable[[str], str]
) -> None:
    admin = await asyncpg.connect(dsn("postgres"))
    async with await Leadership.open(address) as silent, await Leadership.open(address) as standby:
        await until_told(silent.lead)
        assert not await standby.lead() and await silent.leads()  # it was heard a moment ago
        await admin.execute("UPDATE postcommit.leader SET heard_at = clock_timestamp() - interval '6 seconds'")
        assert not await standby.lead()
        await until_told(standby.lead, patience_s=2)
        assert await admin.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1", LEADER)
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await silent.leads()
    await admin.close()
