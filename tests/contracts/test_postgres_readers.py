"""Is what the readers write the fold of the log, and does a second fold beside it find and mend every difference?"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from math import ceil
from typing import Any

import asyncpg
import pytest

from adapters.postgres import readers
from adapters.postgres.database import Database
from adapters.postgres.leadership import Leadership
from adapters.postgres.log import PostgresLog
from adapters.postgres.queries import PostgresQueries
from adapters.postgres.readers import FOLDS
from adapters.postgres.rebuild import Beside, session
from domain import audit as audits
from domain import charts, figures, rebuild, task
from domain.figures import Key
from domain.log import Fact, stream_of
from infra.embedded.servers import Servers
from infra.exits import Refused
from infra.rebuild import Unfoldable, Verdict, compared, rebuilt
from tests import making
from tests.lives import lived, numbered, store

PAST = lived(6_000)
FOLDED = figures.fold(numbered(PAST), {})
HOURS = ("hour", min(key.begins_at for key in FOLDED), max(key.begins_at for key in FOLDED))


class Ended(Exception):
    """As by a signal: whatever was not committed is lost."""


@pytest.fixture(scope="module")
def fresh(servers: Servers) -> Callable[[str], str]:
    """A database with a past that every reader has applied, for a whole module."""
    name = "with_a_past"

    async def make() -> None:
        await make_database(servers, name, PAST)
        database = Database(servers.dsn("postcommit", name), 2)
        for reader in FOLDS:
            while await readers.step(database, reader):
                pass
        await database.close()

    asyncio.run(make())
    return lambda role: str(servers.dsn(role, name))


@pytest.fixture
async def database(fresh: Callable[[str], str]) -> AsyncIterator[Database]:
    database = Database(fresh("postcommit"), 4)
    yield database
    await database.close()


@pytest.fixture
async def owner(fresh: Callable[[str], str]) -> str:
    return fresh("postcommit_owner")


async def test_the_analytics_in_postgres_are_the_fold_in_python(database: Database) -> None:
    async with database.driver() as connection:
        rows = await connection.fetch("SELECT * FROM postcommit.analytics")
    assert {Key(**{f: row[f] for f in Key._fields}): int(row["value"]) for row in rows} == FOLDED


@pytest.mark.parametrize("limit", [1, 7, 333])
async def test_they_are_the_same_in_steps_of_any_size(servers: Servers, limit: int) -> None:
    database = Database(await make_database(servers, f"in_steps_{limit}", PAST[:300]), 2)
    while await readers.step(database, "analytics", limit=limit):
        pass
    async with database.driver() as connection:
        rows = await connection.fetch("SELECT * FROM postcommit.analytics")
    await database.close()
    found = {Key(**{f: row[f] for f in Key._fields}): int(row["value"]) for row in rows}
    assert found == figures.fold(numbered(PAST[:300]), {})


async def test_percentiles_are_those_of_the_run_times(database: Database) -> None:
    times = run_times("probe")
    position, told = await PostgresQueries(database).figures(*HOURS, "probe")
    [run] = [one for one in told if one.figure == "run" and one.begins_at is None]
    chart = charts.chart("hour", [HOURS[1]], position, told).totals.tasks["probe"].run_s
    assert chart is not None and run.value == chart.count == len(times) > 500
    for share, seconds in ((0.5, chart.p50), (0.9, chart.p90), (0.99, chart.p99), (1.0, chart.max)):
        assert seconds == pytest.approx(times[ceil(share * len(times)) - 1], rel=0.02), share


async def test_the_sums_of_a_range_are_those_of_its_buckets(database: Database) -> None:
    position, told = await PostgresQueries(database).figures(*HOURS, None)
    assert position == len(PAST)
    parts: Counter[tuple[str, str]] = Counter()
    for one in told:
        if one.begins_at is not None:
            parts[one.figure, one.label] += one.value
    assert parts == {(one.figure, one.label): one.value for one in told if one.begins_at is None}
    assert {kind for figure, kind in parts if figure == "complete"} == set(making.KINDS)
    _, probes = await PostgresQueries(database).figures(*HOURS, "probe")
    assert {one.label for one in probes if one.figure == "complete"} == {"probe"}
    assert {one for one in probes if one.figure == "signups"} == {one for one in told if one.figure == "signups"}


# Folded anew.


@pytest.mark.parametrize("name", FOLDS)
async def test_a_sound_reader_differs_nowhere(database: Database, owner: str, name: str) -> None:
    heard: list[tuple[int, int]] = []
    assert await compared(database.dsn, name) == Verdict(name, len(PAST), 0, [], mended=False)
    assert await done(owner, name, told=heard) == Verdict(name, await head(database), 0, [], mended=False)
    assert heard == sorted(heard) and heard[-1][0] == heard[-1][1] and len(heard) >= 3


DAMAGES = {
    "a figure is too high": (
        "analytics",
        "UPDATE postcommit.analytics SET value = value + 1 WHERE (per, figure, label) = ('day', 'signups', '') "
        "AND begins_at = '2026-03-02T00:00Z'",
        r"analytics day 2026-03-02T00:00:00\+00:00 signups 0: \d+ → \d+",
    ),
    "a figure is gone": (
        "analytics",
        "DELETE FROM postcommit.analytics WHERE (per, figure, label) = ('day', 'accepted', 'probe') "
        "AND begins_at = '2026-03-02T00:00Z'",
        r"analytics day 2026-03-02T00:00:00\+00:00 accepted probe 0: no row → \d+",
    ),
    "a figure was invented": (
        "analytics",
        "INSERT INTO postcommit.analytics VALUES ('day', '2020-01-01T00:00Z', 'signups', '', 0, 5)",
        r"analytics day 2020-01-01T00:00:00\+00:00 signups 0: 5 → no row",
    ),
    "a line of the audit was changed": (
        "audit",
        "UPDATE postcommit.audit SET actor = 'nobody' WHERE position = 17",
        r'audit 17: \{.*"actor":"nobody".*\} → \{.*"actor":"client".*\}',
    ),
    "a line of the audit lost its address": (
        "audit",
        "UPDATE postcommit.audit SET request_id = NULL WHERE position = 18",
        r'audit 18: .*"request_id":null.* → .*"request_id":"r-1"',
    ),
    "a count is wrong": (
        "balance",
        "UPDATE postcommit.balance SET count = count - 3 WHERE name = 'complete'",
        r"balance complete: \d+ → \d+",
    ),
    "a count is gone": ("balance", "DELETE FROM postcommit.balance WHERE name = 'failed'", r"failed: no row → \d+"),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_row_is_named_and_mended(
    database: Database, owner: str, fresh: Callable[[str], str], damage: str
) -> None:
    name, planted, named = DAMAGES[damage]
    before = await content(fresh("postgres"), name)
    await execute(fresh("postgres"), planted)
    damaged = await content(fresh("postgres"), name)

    seen = await compared(database.dsn, name)
    assert (seen.differences, seen.mended, await content(fresh("postgres"), name)) == (1, False, damaged)

    verdict = await done(owner, name)
    assert (verdict.differences, verdict.mended) == (1, True)
    assert re.search(named, str(verdict.named[0])), str(verdict.named[0])
    assert before <= await content(fresh("postgres"), name) != damaged
    assert (await compared(database.dsn, name)).differences == 0


async def test_of_many_differences_the_first_are_named(database: Database, owner: str, fresh: Any) -> None:
    await execute(fresh("postgres"), "DELETE FROM postcommit.audit WHERE position <= 1000")
    await execute(fresh("postgres"), "DELETE FROM postcommit.analytics")
    verdict = await done(owner, "audit")
    assert (verdict.differences, [one.key["position"] for one in verdict.named]) == (1_000, list(range(1, 21)))
    assert (await done(owner, "analytics")).differences >= len(FOLDED)
    for name in FOLDS:
        assert (await compared(database.dsn, name)).differences == 0


async def test_a_rebuild_is_a_fact_of_the_operators(database: Database, owner: str) -> None:
    verdict = await done(owner, "balance", actor="cli/ada")
    [*_, last] = await PostgresLog(database).read(stream_of("reader", rebuild.id_of("balance")))
    assert last.fact.event == rebuild.Rebuilt(name="balance", position=verdict.position, differences=0)
    assert last.fact.meta.actor == "cli/ada"
    await number(database)
    while await readers.step(database, "audit"):
        pass
    lines = await PostgresQueries(database).audit(audits.Wanted(subject=last.fact.stream, actor="cli/ada"))
    assert lines[-1].action == "reader.rebuilt"


async def test_a_rebuild_that_was_ended_goes_on_where_it_was(database: Database, owner: str) -> None:
    def end(position: int, _: int) -> None:
        if position >= 4_000:
            raise Ended

    with pytest.raises(Ended):
        await rebuilt(owner, "analytics", "cli/ada", end, print)
    said: list[str] = []
    heard: list[tuple[int, int]] = []
    verdict = await done(owner, "analytics", told=heard, said=said)
    assert said == ["An earlier rebuild ended at position 4000: this one goes on there."]
    assert (verdict.differences, heard[0][0] > 4_000) == (0, True)
    assert await leftovers(owner) == 0


async def test_what_another_program_began_is_begun_anew(database: Database, owner: str) -> None:
    def end(position: int, _: int) -> None:
        raise Ended

    with pytest.raises(Ended):
        await rebuilt(owner, "analytics", "cli/ada", end, print)
    await execute(owner, "UPDATE postcommit.cursors_rebuild SET made_by = '0.0.1 0001'")
    await execute(owner, "UPDATE postcommit.analytics_rebuild SET value = 0")
    said: list[str] = []
    assert (await done(owner, "analytics", said=said)).differences == 0 and said == []


async def test_one_rebuild_of_a_reader_at_a_time(owner: str) -> None:
    async with session(owner, "another") as connection:
        assert await Beside(connection, "analytics", lasts=True).alone()
        with pytest.raises(Refused, match=r"^Another process rebuilds the reader analytics just now\.$"):
            await done(owner, "analytics")
        assert (await done(owner, "balance")).differences == 0
    assert (await done(owner, "analytics")).differences == 0


async def test_only_the_owner_may_mend(database: Database) -> None:
    with pytest.raises(Refused, match="POSTCOMMIT_POSTGRES_OWNER"):
        await done(database.dsn, "analytics")


async def test_the_reader_goes_on_meanwhile_and_loses_nothing(database: Database, owner: str) -> None:
    over = asyncio.Event()

    async def write() -> None:
        log = PostgresLog(database)
        while not over.is_set():
            await asyncio.gather(*(log.append(making.new_task()[1]) for _ in range(20)))
            await number(database)

    async def read() -> None:
        while not over.is_set() or await readers.step(database, "analytics"):
            await readers.step(database, "analytics")

    before = await cursor(database)
    load = [asyncio.create_task(write()), asyncio.create_task(read())]
    try:
        verdicts = [await done(owner, "analytics") for _ in range(2)]
        during = await cursor(database)
    finally:
        over.set()
        await asyncio.gather(*load)
    while await readers.step(database, "analytics"):
        pass
    assert [one.differences for one in verdicts] == [0, 0]
    assert before < verdicts[0].position < verdicts[1].position <= during <= await cursor(database)
    last = await compared(database.dsn, "analytics")
    assert (last.differences, last.position) == (0, await head(database))


async def test_a_log_that_cannot_be_folded_is_said(servers: Servers) -> None:
    dsn, admin = await make_database(servers, "unfoldable", PAST[:50]), servers.dsn("postgres", "unfoldable")
    await execute(admin, "UPDATE postcommit.cursors SET position = 60 WHERE name = 'analytics'")
    with pytest.raises(Unfoldable, match="The log ends at 50, before the cursor 60 of the reader analytics"):
        await compared(dsn, "analytics")
    await execute(admin, "ALTER TABLE postcommit.events DISABLE TRIGGER ALL")
    await execute(admin, "UPDATE postcommit.events SET name = 'task.invented'")
    with pytest.raises(Unfoldable, match=r"cannot be folded after the position 0: UnknownEvent: The log holds task"):
        await compared(dsn, "analytics")


def run_times(kind: str) -> list[float]:
    """Of every attempt of the past that ended by its holder, in seconds, from the shortest on."""
    began: dict[str, datetime] = {}
    times = []
    for fact in (fact for fact in PAST if fact.subject.startswith(f"tasks.v1.default.{kind}.")):
        if isinstance(fact.event, task.Started):
            began[fact.stream] = fact.at
        elif isinstance(fact.event, task.Rescued):
            del began[fact.stream]
        elif isinstance(fact.event, figures.ENDS) and fact.stream in began:
            times.append((fact.at - began.pop(fact.stream)).total_seconds())
    return sorted(times)


async def make_database(servers: Servers, name: str, past: Sequence[Fact]) -> str:
    """A database of this name with this past, which no reader has applied."""
    await execute(servers.dsn("postgres", "postgres"), f"CREATE DATABASE {name} TEMPLATE postcommit")
    await store(servers.dsn("postgres", name), past)
    return servers.dsn("postcommit", name)


async def done(
    owner: str,
    name: str,
    actor: str = "cli/ada",
    told: list[tuple[int, int]] | None = None,
    said: list[str] | None = None,
) -> Verdict:
    heard = told if told is not None else []
    return await rebuilt(
        owner, name, actor, lambda *pair: heard.append(pair), (said if said is not None else []).append
    )


async def content(dsn: str, table: str) -> set[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        return {tuple(row) for row in await connection.fetch(f"SELECT * FROM postcommit.{table}")}
    finally:
        await connection.close()


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        assert await connection.execute(statement) not in ("UPDATE 0", "DELETE 0")
    finally:
        await connection.close()


async def leftovers(owner: str) -> int:
    connection = await asyncpg.connect(owner)
    try:
        tables = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname ~ '^(audit|balance|analytics)_rebuild$'"
        rows = "SELECT count(*) FROM postcommit.cursors_rebuild"
        return int(await connection.fetchval(tables) + await connection.fetchval(rows))
    finally:
        await connection.close()


async def cursor(database: Database) -> int:
    async with database.driver() as connection:
        return int(await connection.fetchval("SELECT position FROM postcommit.cursors WHERE name = 'analytics'"))


async def head(database: Database) -> int:
    async with database.driver() as connection:
        return int(await connection.fetchval("SELECT max(position) FROM postcommit.ledger"))


async def number(database: Database) -> None:
    async with await Leadership.open(database.dsn) as leadership:
        while await leadership.sequence(1_000):
            pass
