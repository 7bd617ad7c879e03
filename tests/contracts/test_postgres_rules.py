"""Do the database's own rules hold: append-only, the schema, a task in a foreign transaction, what is forgotten?"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from adapters.http import audit
from adapters.postgres.database import Database, engine_of
from adapters.postgres.kinds import register
from adapters.postgres.log import PostgresLog
from adapters.postgres.readers import READERS
from adapters.postgres.tables import SCHEMA, metadata
from adapters.postgres.tasks import PostgresTasks
from domain import task
from domain.kind import Kind
from domain.record import Personal, Record
from infra import migrate
from infra.clock import new_id
from infra.embedded.servers import Servers
from tests import making

Connected = Any  # an asyncpg connection


class Card(Record, frozen=True):
    address: Personal[str]
    text: str
    colour: str = "blue"


CARD = Kind(name="send_card", request=Card, result=Card, queue="post", max_attempts=4)
ASK = "SELECT postcommit.request($1, $2::text::jsonb, $3)"


@pytest.fixture
async def database(dsn: Callable[[str], str]) -> AsyncIterator[Database]:
    database = Database(dsn("postcommit"), 4)
    await register(database, [CARD, *making.KINDS.values()])
    yield database
    await database.close()


@pytest.fixture
async def client(database: Database) -> AsyncIterator[Connected]:
    """Another application, on a connection of its own."""
    connection = await asyncpg.connect(database.dsn)
    yield connection
    await connection.close()


# Append-only.


@pytest.mark.parametrize("table", ["events", "ledger"])
@pytest.mark.parametrize("role", ["postcommit", "postcommit_owner", "postgres"])
@pytest.mark.parametrize("verb", ["UPDATE", "DELETE", "TRUNCATE"])
async def test_nobody_changes_the_log(
    database: Database, dsn: Callable[[str], str], table: str, role: str, verb: str
) -> None:
    await PostgresLog(database).append(making.new_task()[1])
    async with database.driver() as connection:
        await connection.execute(
            "INSERT INTO postcommit.ledger SELECT 1, id FROM postcommit.events ON CONFLICT DO NOTHING"
        )
    statement = (
        {
            "UPDATE": f"UPDATE postcommit.{table} SET {'name' if table == 'events' else 'position'} = DEFAULT",
            "DELETE": f"DELETE FROM postcommit.{table}",
            "TRUNCATE": f"TRUNCATE postcommit.{table} CASCADE",
        }[verb]
        .replace("position = DEFAULT", "position = position + 100")
        .replace("name = DEFAULT", "name = 'x'")
    )
    connection = await asyncpg.connect(dsn(role))
    try:
        if role == "postgres":  # replication skips ordinary triggers
            await connection.execute("SET session_replication_role = replica")
        with pytest.raises(asyncpg.InsufficientPrivilegeError) as refused:
            await connection.execute(statement)
        assert role == "postcommit" or "stands for ever" in str(refused.value)
        assert await connection.fetchval(f"SELECT count(*) FROM postcommit.{table}") > 0
    finally:
        await connection.close()


async def test_the_service_cannot_change_the_rules(client: Connected) -> None:
    for statement in (
        "ALTER TABLE postcommit.events DISABLE TRIGGER ALL",
        "DROP TABLE postcommit.ledger",
        "CREATE TABLE postcommit.mine ()",
        "SET session_replication_role = replica",
        "DELETE FROM postcommit.tasks",
        "UPDATE postcommit.idempotency SET body = ''",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await client.execute(statement)


# The schema.


async def test_the_migrations_and_the_tables_agree(servers: Servers, dsn: Callable[[str], str]) -> None:
    admin = await asyncpg.connect(servers.dsn("postgres", "postgres"))
    await admin.execute("CREATE DATABASE from_tables")
    await admin.close()
    migrated = await _described(dsn("postgres"), create=False)
    declared = await _described(servers.dsn("postgres", "from_tables"), create=True)
    assert migrated["differences"] == []
    for part in ("columns", "constraints", "indexes", "options"):
        assert migrated[part] == declared[part], part


async def test_every_reader_has_its_cursor_after_the_migrations(client: Connected) -> None:
    names = [row["name"] for row in await client.fetch("SELECT name FROM postcommit.cursors")]
    assert sorted(names) == sorted(["mirror", *READERS])
    assert audit.READER in READERS


async def _described(dsn: str, create: bool) -> dict[str, Any]:
    engine = engine_of(dsn, {})
    async with engine.begin() as connection:
        if create:
            await connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
            await connection.execute(text(f"CREATE EXTENSION pg_trgm WITH SCHEMA {SCHEMA}"))
            await connection.run_sync(metadata.create_all)
        told = {name: [tuple(row) for row in await connection.execute(text(query))] for name, query in SHAPE.items()}
        told["differences"] = await connection.run_sync(_differences)
    await engine.dispose()
    return told


def _differences(connection: Connection) -> list[Any]:
    def ours(name: str | None, kind: str, parents: Any) -> bool:
        return name == SCHEMA if kind == "schema" else name != "schema_version"

    options = {"include_schemas": True, "include_name": ours, "compare_server_default": False}
    return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)


SHAPE = {
    "columns": """
        SELECT table_name, column_name, data_type, is_nullable, column_default, is_identity, identity_generation
        FROM information_schema.columns
        WHERE table_schema = 'postcommit' AND table_name <> 'schema_version' ORDER BY 1, 2""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'postcommit'::regnamespace AND conname NOT LIKE 'schema_version%' ORDER BY 1, 2""",
    "indexes": """
        SELECT indexname, indexdef FROM pg_indexes
        WHERE schemaname = 'postcommit' AND tablename <> 'schema_version' ORDER BY 1""",
    "options": """
        SELECT relname, array(SELECT unnest(reloptions) ORDER BY 1) FROM pg_class
        WHERE relnamespace = 'postcommit'::regnamespace AND relkind = 'r' AND relname <> 'schema_version' ORDER BY 1""",
}


# A task in a foreign transaction.


async def test_a_task_exists_exactly_if_the_foreign_transaction_commits(database: Database, client: Connected) -> None:
    tasks = PostgresTasks(database)
    request = json.dumps({"address": "Elm Street 1", "text": "Hello"})
    for ends, exists in (("COMMIT", True), ("ROLLBACK", False)):
        await client.execute("BEGIN")
        id = UUID(str(await client.fetchval(ASK, "send_card", request, None)))
        assert await tasks.get([id]) == {}
        await client.execute(ends)
        assert (id in await tasks.get([id])) == exists
        assert len(await PostgresLog(database).read(f"task-{id}")) == exists


async def test_a_foreign_task_is_like_any_other(database: Database, client: Connected) -> None:
    request = json.dumps({"address": "Elm Street 1", "text": "Hello"})
    id = UUID(str(await client.fetchval(ASK, "send_card", request, None)))
    state = (await PostgresTasks(database).get([id]))[id]
    [told] = await PostgresLog(database).read(f"task-{id}")
    assert isinstance(told.fact.event, task.Queued) and state == task.fold([(told.fact.event, told.fact.at)])
    assert (state.request, state.personal) == ({"text": "Hello"}, {"address": "Elm Street 1"})
    assert (state.by, state.queue, state.max_attempts, state.status) == ("sql/postcommit", "post", 4, "queued")
    assert told.fact.subject == f"tasks.v1.post.send_card.queued.{id}" and id.version == 7
    async with database.driver() as connection:
        data = await connection.fetchval("SELECT data::text FROM postcommit.events WHERE stream = $1", f"task-{id}")
    assert "Elm Street" not in data  # what tells of a person is stored apart
    [held] = await PostgresTasks(database).claim([id], [new_id()], "w", ["send_card"], 60, told.fact.at)
    assert held.task.turn == 1 and held.correlation_id == str(id)


async def test_a_key_makes_a_foreign_task_once(client: Connected) -> None:
    key, request = str(new_id()), json.dumps({"address": "a", "text": "b"})
    first = await client.fetchval(ASK, "send_card", request, key)
    assert await client.fetchval(ASK, "send_card", json.dumps({"text": "b", "address": "a"}), key) == first
    for kind, other in (("send_card", {"address": "a", "text": "c"}), ("probe", {})):
        with pytest.raises(asyncpg.InvalidParameterValueError, match="used for another request"):
            await client.fetchval(ASK, kind, json.dumps(other), key)
    assert await client.fetchval(ASK, "send_card", request, key + "2") != first


async def test_a_key_that_was_rolled_back_is_free(client: Connected) -> None:
    key, request = str(new_id()), json.dumps({"address": "a", "text": "b"})
    await client.execute("BEGIN")
    first = await client.fetchval(ASK, "send_card", request, key)
    await client.execute("ROLLBACK")
    assert await client.fetchval(ASK, "send_card", request, key) != first


async def test_one_key_from_many_foreign_transactions_makes_one_task(database: Database) -> None:
    key, request = str(new_id()), json.dumps({"address": "a", "text": "b"})

    async def ask() -> UUID:
        async with database.driver() as connection:
            return UUID(str(await connection.fetchval(ASK, "send_card", request, key)))

    assert len(set(await asyncio.gather(*(ask() for _ in range(10))))) == 1


@pytest.mark.parametrize(
    ("kind", "request_", "key", "says"),
    [
        ("no_such_kind", "{}", None, "The kind 'no_such_kind' is unknown"),
        (None, "{}", None, "The kind NULL is unknown"),
        ("send_card", '{"address": "a", "text": "b", "shape": 1}', None, "has no field 'shape'"),
        ("send_card", '{"address": "a"}', None, "needs the field .text"),
        ("send_card", '{"address": "a", "text": 1}', None, "send_card.text should be of the type string, not number"),
        ("probe", '{"work_s": -1}', None, "probe.work_s is -1, which is out of its range"),
        ("probe", '{"work_s": null}', None, "probe.work_s should be of the type number, not null"),
        ("probe", '{"fail_first": 1.5}', None, "probe.fail_first should be of the type integer, not number"),
        ("send_card", "[]", None, "must be a JSON object"),
        ("send_card", '"text"', None, "must be a JSON object"),
        ("send_card", "null", None, "must be a JSON object"),
        ("send_card", None, None, "must be a JSON object"),
        ("send_card", json.dumps({"address": "a", "text": "x" * 524_288}), None, "the most is 524288"),
        ("send_card", '{"address": "a", "text": "b"}', "", "1 to 255 bytes"),
        ("send_card", '{"address": "a", "text": "b"}', "k" * 256, "1 to 255 bytes"),
    ],
)
async def test_a_wrong_foreign_request_is_an_error_that_says_why(
    client: Connected, kind: Any, request_: Any, key: Any, says: str
) -> None:
    with pytest.raises(asyncpg.InvalidParameterValueError, match=says) as refused:
        await client.fetchval(ASK, kind, request_, key)
    assert refused.value.sqlstate == "22023"


async def test_the_largest_foreign_request_fits(database: Database, client: Connected) -> None:
    room = 524_288 - len('{"text": "", "address": "a"}')
    id = await client.fetchval(ASK, "send_card", json.dumps({"address": "a", "text": "x" * room}), None)
    assert UUID(str(id)) in await PostgresTasks(database).get([UUID(str(id))])


# What is forgotten.


async def test_idempotency_keys_are_forgotten_after_seven_days_and_not_before(
    database: Database, dsn: Callable[[str], str]
) -> None:
    log, keys = PostgresLog(database), {age: making.once(str(new_id())) for age in ("6 days 23 hours", "7 days 1 hour")}
    admin = await asyncpg.connect(dsn("postgres"))
    for age, key in keys.items():
        await log.append(making.new_task(once=key)[1])
        aged = f"UPDATE postcommit.idempotency SET created_at = now() - interval '{age}' WHERE key = $1"
        await admin.execute(aged, key.key)
    assert len(await database.fetch("forget_keys")) == 1
    left = await admin.fetch(
        "SELECT key FROM postcommit.idempotency WHERE key = ANY ($1)", [k.key for k in keys.values()]
    )
    assert [row["key"] for row in left] == [keys["6 days 23 hours"].key]
    assert await database.fetch("forget_keys") == []
    await admin.close()


# Times.

DUE = Path(migrate.__file__).parent / "migrations/versions/0006_due.sql"


@pytest.mark.parametrize("time", ["9999-12-31 23:59:59.999999+00", "0001-01-01 00:00:00+00"])
async def test_no_task_is_due_at_what_the_driver_takes_for_infinity(
    database: Database, dsn: Callable[[str], str], time: str
) -> None:
    id, entry = making.new_task()
    await PostgresLog(database).append(entry)
    owner = await asyncpg.connect(dsn("postcommit_owner"))
    first = datetime.fromisoformat(time)
    move, due = "UPDATE postcommit.tasks SET due_at = $2 WHERE id = $1", "FROM postcommit.tasks WHERE id = $1"
    try:
        with pytest.raises(asyncpg.CheckViolationError, match="tasks_due_at_is_a_time"):
            await owner.execute(move, id, first)
        await owner.execute("ALTER TABLE postcommit.tasks DROP CONSTRAINT tasks_due_at_is_a_time")
        await owner.execute(move, id, first)
        assert await owner.fetchval(f"SELECT isfinite(due_at) {due}", id) is False
        for statement in DUE.read_text().split("\n----\n"):
            await owner.execute(statement)
        assert await owner.fetchval(f"SELECT due_at {due}", id) == first
    finally:
        await owner.close()


# Outcomes.


@pytest.mark.parametrize("change", ["status = 'queued', finished_at = NULL", "result = '1'", "error = '{}'"])
async def test_how_a_task_ended_stands_whoever_writes(
    database: Database, dsn: Callable[[str], str], change: str
) -> None:
    id, entry = making.new_task()
    await PostgresLog(database).append(entry)
    connection = await asyncpg.connect(dsn("postgres"))
    try:
        end = "UPDATE postcommit.tasks SET status = 'complete', finished_at = now() WHERE id = $1"
        await connection.execute(end, id)
        await connection.execute("SET session_replication_role = replica")  # replication skips ordinary triggers
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="stands for ever"):
            await connection.execute(f"UPDATE postcommit.tasks SET {change} WHERE id = $1", id)
    finally:
        await connection.close()
