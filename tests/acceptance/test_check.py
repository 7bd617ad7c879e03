"""Does `postcommit check` see every damage? Planted by a superuser, who may do what the service may not."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from typing import Any

import asyncpg
import nats
import pytest
from nats.aio.client import Client as Nats

from adapters.postgres.database import Database
from infra.check.run import LATER, MOST, check, queries
from infra.embedded.servers import Servers, start_servers
from infra.exits import Away
from infra.migrate import upgrade
from tests.acceptance.running import QUICK, ROOT
from tests.waiting import until_told

TASKS = 6
NUMBERS = count(1)
DONE = f"""
SELECT (SELECT count(*) FROM postcommit.tasks WHERE status = 'complete') = {TASKS}
    AND NOT EXISTS (SELECT FROM postcommit.outbox)
    AND (SELECT min(position) FROM postcommit.cursors) = (SELECT max(position) FROM postcommit.ledger)
"""
UNGUARD = """
DO $$
DECLARE one regclass;
BEGIN
    FOR one IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'postcommit'::regnamespace LOOP
        EXECUTE format('ALTER TABLE %s DISABLE TRIGGER ALL', one);
    END LOOP;
END $$
"""
FIRST = "(SELECT id FROM postcommit.tasks ORDER BY id LIMIT 1)"
STREAM = f"'task-' || {FIRST}"
DEEP = '{"payload": ' + "[" * 1_000 + "]" * 1_000 + "}"
UNREADABLE = {"row = fold of its stream", "audit = fold of the log", "analytics = fold of the log"}
COLUMNS = "stream, version, name, name_version, at, subject, data, personal, meta"
NEXT = "(SELECT max(position) + 1 FROM postcommit.ledger)"

DAMAGES = {
    "a row of the ledger was deleted": (
        "DELETE FROM postcommit.ledger WHERE position = 3",
        {"the ledger is dense", "every fact is in the ledger or has its duty in the outbox"},
    ),
    "the outbox forgot a fact": (
        "DELETE FROM postcommit.ledger WHERE position = (SELECT max(position) FROM postcommit.ledger)",
        {"every fact is in the ledger or has its duty in the outbox", "readers and mirror are not ahead of the ledger"},
    ),
    "two positions were swapped": (
        f"""CREATE TEMP TABLE was AS
                SELECT l.* FROM postcommit.ledger AS l JOIN postcommit.events AS e ON e.id = l.event
                WHERE e.stream = {STREAM} AND e.version < 3;
            DELETE FROM postcommit.ledger WHERE position IN (SELECT position FROM was);
            INSERT INTO postcommit.ledger
                SELECT a.position, b.event FROM was AS a, was AS b WHERE a.position <> b.position""",
        {"versions ascend along positions", "audit = fold of the log", "the stream = the ledger"},
    ),
    "a fact was deleted": (
        f"DELETE FROM postcommit.events WHERE stream = {STREAM} AND version = 2",
        {"versions are dense", "the ledger tells of facts that exist", "row = fold of its stream"},
    ),
    "a fact was changed": (
        f"UPDATE postcommit.events SET data = replace(data::text, 'kept', 'lost')::json WHERE stream = {STREAM}",
        {"row = fold of its stream"},
    ),
    "the actor of a fact was changed": (
        f'UPDATE postcommit.events SET meta = \'{{"actor": "nobody"}}\' WHERE stream = {STREAM} AND version = 3',
        {"audit = fold of the log"},
    ),
    "a task has a second end": (
        f"""WITH e AS (INSERT INTO postcommit.events (id, {COLUMNS}) SELECT uuidv7(), stream, version + 1,
                name, name_version, at, subject, data, personal, meta
                FROM postcommit.events WHERE stream = {STREAM} AND name = 'task.completed' RETURNING id)
            INSERT INTO postcommit.ledger SELECT {NEXT}, id FROM e""",
        {"one terminal event a task", "row = fold of its stream"},
    ),
    "a status was changed": (
        f"UPDATE postcommit.tasks SET status = 'failed' WHERE id = {FIRST}",
        {"an ended task has its terminal event, and no other has one", "row = fold of its stream"},
    ),
    "a result was changed": (
        f"UPDATE postcommit.tasks SET result = '7' WHERE id = {FIRST}",
        {"row = fold of its stream"},
    ),
    "a key was made by hand": (
        "INSERT INTO postcommit.keys (name, scope, hash) VALUES ('mallory', 'operator', 'secret')",
        {"key = fold of its stream"},
    ),
    "a task was deleted": (
        f"DELETE FROM postcommit.tasks WHERE id = {FIRST}",
        {"accepted tasks exist", "answers with an idempotency key name tasks and accounts that exist"},
    ),
    "a task was never asked for": (
        f"""INSERT INTO postcommit.tasks (id, version, status, kind, queue, request, max_attempts, created_at, due_at,
                by, last_event)
            SELECT uuidv7(), 1, 'queued', kind, queue, request, 5, created_at, due_at, by, uuidv7()
            FROM postcommit.tasks WHERE id = {FIRST}""",
        {"tasks were accepted", "every open task has a driver", "the balance has difference 0"},
    ),
    "a fact is waiting for its position for minutes": (
        f"""WITH l AS (DELETE FROM postcommit.ledger WHERE position = {NEXT} - 1 RETURNING event),
            e AS (UPDATE postcommit.events SET at = at - interval '5 minutes' WHERE id = (SELECT event FROM l))
            INSERT INTO postcommit.outbox (event) SELECT event FROM l""",
        {"the outbox is young"},
    ),
    "a fact that has its position is waiting for one": (
        "INSERT INTO postcommit.outbox (event) SELECT event FROM postcommit.ledger WHERE position = 1",
        {"nothing is in the ledger and in the outbox at once"},
    ),
    "a lease ran out and nobody came": (
        f"""UPDATE postcommit.tasks SET status = 'in_progress', finished_at = NULL,
                lease_until = clock_timestamp() - interval '5 minutes' WHERE id = {FIRST}""",
        {"no expired lease is unrescued", "an ended task has its terminal event, and no other has one"},
    ),
    "a task was due and nobody queued it": (
        f"""UPDATE postcommit.tasks SET status = 'scheduled', finished_at = NULL,
                due_at = clock_timestamp() - interval '5 minutes' WHERE id = {FIRST}""",
        {"what is due is dispatched"},
    ),
    "a task was started more often than it may be": (
        f"UPDATE postcommit.tasks SET stumbles = 99 WHERE id = {FIRST}",
        {"attempts are bounded", "row = fold of its stream"},
    ),
    "a row cannot be decoded": (
        f"UPDATE postcommit.tasks SET request = '{DEEP}' WHERE id = {FIRST}",
        {"row = fold of its stream"},
    ),
    "a fact cannot be decoded": (
        f"UPDATE postcommit.events SET data = '{DEEP}' WHERE stream = {STREAM} AND version = 1",
        UNREADABLE,
    ),
    "a fact is no object": (
        f"UPDATE postcommit.events SET data = '[7]' WHERE stream = {STREAM} AND version = 1",
        UNREADABLE,
    ),
    "a fact has other fields": (
        f"UPDATE postcommit.events SET data = '{{}}' WHERE stream = {STREAM} AND version = 2",
        UNREADABLE,
    ),
    "a fact is of a newer program": (
        f"UPDATE postcommit.events SET name = 'task.invented' WHERE stream = {STREAM} AND version = 2",
        UNREADABLE,
    ),
    "what is known of a fact cannot be decoded": (
        f"UPDATE postcommit.events SET meta = '7' WHERE stream = {STREAM} AND version = 2",
        UNREADABLE,
    ),
    "a line of the audit was deleted": (
        "DELETE FROM postcommit.audit WHERE position = 2",
        {"audit = fold of the log"},
    ),
    "a line of the audit was changed": (
        "UPDATE postcommit.audit SET actor = 'nobody' WHERE position = 2",
        {"audit = fold of the log"},
    ),
    "a figure of the analytics is wrong": (
        "UPDATE postcommit.analytics SET value = value + 1 WHERE per = 'hour' AND figure = 'complete'",
        {"analytics = fold of the log"},
    ),
    "a file is held that nobody has": (
        f"INSERT INTO postcommit.holds SELECT {STREAM}, repeat('ab', 32)",
        {"every file that is held is known, and does not go", "files = fold of the log"},
    ),
    "a count is wrong": (
        "UPDATE postcommit.balance SET count = count + 1 WHERE name = 'accepted'",
        {"the balance has difference 0"},
    ),
    "the mirror believes that it is further": (
        "UPDATE postcommit.cursors SET position = position + 1 WHERE name = 'mirror'",
        {"readers and mirror are not ahead of the ledger"},
    ),
    "the log has another epoch than the stream": (
        "INSERT INTO postcommit.epochs (id, position, reason) VALUES (uuidv7(), 1, 'planted')",
        {"the stream = the ledger"},
    ),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Servers on which everything was done and told; no role runs any more."""
    with start_servers(tmp_path_factory.mktemp("sound")) as servers:
        upgrade(servers.dsn("postcommit_owner"))
        with _roles(servers):
            asyncio.run(_live(servers))
        yield servers


def test_a_sound_service_is_green(sound: Servers) -> None:
    told = _command(sound, "postcommit")
    assert told.returncode == 0, told.stdout
    assert {"the stream = the ledger", *(name for name, _ in queries())} <= set(json.loads(told.stdout)["invariants"])


@pytest.mark.parametrize("damage", DAMAGES)
async def test_damage_is_seen(sound: Servers, damage: str) -> None:
    planted, seen = DAMAGES[damage]
    async with _copy(sound) as name:
        assert await _broken(sound, name) == {}
        await _execute(sound, name, UNGUARD)
        assert await _execute(sound, name, planted) not in ("DELETE 0", "UPDATE 0", "INSERT 0 0")
        broken = await _broken(sound, name)
        assert seen <= set(broken), broken


async def test_the_command_names_the_offender_and_exits_with_1(sound: Servers) -> None:
    async with _copy(sound) as name:
        await _execute(sound, name, "UPDATE postcommit.audit SET actor = 'nobody' WHERE position = 2")
        told = await asyncio.to_thread(_command, sound, name)
    assert told.returncode == 1
    assert "audit at position 2" in str(json.loads(told.stdout)["invariants"]["audit = fold of the log"])


async def test_what_cannot_be_decoded_is_named_and_hides_no_other_damage(sound: Servers) -> None:
    async with _copy(sound) as name:
        await _execute(sound, name, UNGUARD)
        await _execute(sound, name, f"UPDATE postcommit.events SET name = 'task.invented' WHERE stream = {STREAM}")
        await _execute(sound, name, "UPDATE postcommit.tasks SET result = '7'")
        await _execute(sound, name, "UPDATE postcommit.audit SET actor = 'nobody' WHERE position > 10")
        broken = await _broken(sound, name)
    rows, lines = broken["row = fold of its stream"], broken["audit = fold of the log"]
    assert len(rows) == TASKS
    assert "the stream cannot be read: UnknownEvent: The log holds task.invented version 1" in rows[0]
    assert any("the fact cannot be read: UnknownEvent" in line for line in lines)
    assert any("nobody" in line for line in lines)


async def test_of_much_damage_the_first_offenders_are_named_and_that_there_are_more(sound: Servers) -> None:
    async with _copy(sound) as name:
        await _execute(sound, name, UNGUARD)
        await _execute(sound, name, "UPDATE postcommit.audit SET actor = 'nobody'")
        await _execute(sound, name, "INSERT INTO postcommit.outbox (event) SELECT event FROM postcommit.ledger")
        told = json.loads((await asyncio.to_thread(_command, sound, name)).stdout)
        shown = (await asyncio.to_thread(_command, sound, name, "check")).stdout
    damaged = {"audit = fold of the log", "nothing is in the ledger and in the outbox at once"}
    assert damaged <= set(told["more"])  # on a slow machine the outbox has grown old, too
    assert {len(told["invariants"][one]) for one in damaged} == {MOST}
    assert shown.count(f"and more: only the first {MOST} are named") >= 2


async def test_a_stream_that_cannot_be_compared_is_not_green(sound: Servers) -> None:
    sound.nats.stop()
    try:
        with pytest.raises(Away, match=r"NATS at nats://subscriber:\*\*\*@\S+ cannot be asked: .*\."):
            await _broken(sound, "postcommit")
    finally:
        sound.nats.start()


async def test_damage_of_the_stream_is_seen(sound: Servers) -> None:
    client = await nats.connect(sound.nats_url("admin"))
    try:
        log = client.jetstream()
        await log.delete_msg("LOG", 3)
        assert "the stream has no message at 3" in await _stream(sound)
        await _foreign(client)
        found = await _stream(sound)
        assert any("ahead of the ledger" in line for line in found), found
        await log.delete_stream("LOG")
        assert await _stream(sound) == ["the stream LOG is missing"]
    finally:
        await client.close()


@contextmanager
def _roles(servers: Servers) -> Iterator[None]:
    addresses = {"POSTCOMMIT_POSTGRES": servers.dsn("postcommit"), "POSTCOMMIT_SMTP": servers.smtp}
    roles = [
        subprocess.Popen(
            [sys.executable, "-m", "infra.cli", role],
            env=os.environ | QUICK | addresses | {"POSTCOMMIT_NATS": servers.nats_url(role)},
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
        )
        for role in ("relay", "worker", "reader")
    ]
    try:
        yield
    finally:
        for one in roles:
            one.terminate()
        for one in roles:
            one.wait(20)


async def _live(servers: Servers) -> None:
    """Ask for the tasks, and wait until they are done."""
    connection = await asyncpg.connect(servers.dsn("postgres"))
    try:

        async def yes(question: str) -> bool:
            return bool(await connection.fetchval(question))

        await until_told(lambda: yes("SELECT count(*) > 0 FROM postcommit.kinds"), 30)
        for number in range(TASKS):
            wanted = json.dumps({"payload": "kept", "fail_first": number % 2})
            await connection.execute("SELECT postcommit.request('probe', $1, $2)", wanted, f"key-{number}")
        await until_told(lambda: yes(DONE), 30)
    finally:
        await connection.close()
    await until_told(lambda: _is_sound(servers))


async def _is_sound(servers: Servers) -> bool:
    return not await _broken(servers, "postcommit")


@asynccontextmanager
async def _copy(servers: Servers) -> AsyncIterator[str]:
    """A copy of the database, for as long as the block runs."""
    name = f"copy_{next(NUMBERS)}"
    await _execute(servers, "postgres", f"CREATE DATABASE {name} TEMPLATE postcommit")
    try:
        yield name
    finally:
        await _execute(servers, "postgres", f"DROP DATABASE {name} WITH (FORCE)")


async def _execute(servers: Servers, database: str, statement: str) -> str:
    connection = await asyncpg.connect(servers.dsn("postgres", database))
    try:
        return str(await connection.execute(statement))
    finally:
        await connection.close()


async def _broken(servers: Servers, name: str) -> dict[str, list[str]]:
    database = Database(servers.dsn("postcommit", name), 2)
    try:
        found = [one async for one in check(database, servers.nats_url("subscriber"))]
        return {one.name: one.offenders for one in found if one.offenders}
    finally:
        await database.close()


async def _stream(servers: Servers) -> list[str]:
    return (await _broken(servers, "postcommit"))["the stream = the ledger"]


async def _foreign(client: Nats) -> None:
    await client.jetstream().publish("events.v1.account.registered.evil", b"{}")


def _command(servers: Servers, name: str, *arguments: str) -> Any:
    """`postcommit check --json`, or with these arguments, against a database and the stream."""
    addresses = {
        "POSTCOMMIT_POSTGRES": servers.dsn("postcommit", name),
        "POSTCOMMIT_NATS": servers.nats_url("subscriber"),
    }
    command = [sys.executable, "-m", "infra.cli", *(arguments or ("check", "--json"))]
    return subprocess.run(command, env=os.environ | addresses, cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_what_holds_only_later_is_an_invariant() -> None:
    assert {name for name, _ in queries()} >= LATER
