"""Does what is done to a key leave its fact and its row together, and do secrets begin and end when they should?"""

import asyncio
import json
import os
import pwd
from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import Any

import asyncpg
import pytest
from alembic.script import ScriptDirectory

from adapters.postgres import keys as rows
from adapters.postgres.database import Database
from domain.access import Key, Scope
from domain.key import id_of
from infra import keys
from infra.embedded.servers import Servers
from infra.exits import Conflicting, Misused, NotFound, Refused
from infra.migrate import MIGRATIONS, upgrade

NUMBERS = count(1)
ME = f"cli/{pwd.getpwuid(os.getuid()).pw_name}"


class Held:
    """The database, as an API process sees it."""

    def __init__(self, dsn: str, database: Database) -> None:
        self.dsn, self.database = dsn, database

    async def holder(self, secret: str) -> Key | None:
        return await rows.find(self.database, rows.hash_of(secret))

    async def facts(self, name: str) -> list[tuple[str, dict[str, Any], str]]:
        """Event, data and actor of the key's stream; each of them has its duty in the outbox."""
        async with self.database.driver() as connection:
            found = await connection.fetch(
                "SELECT e.name, e.data, e.meta "
                "FROM postcommit.events AS e JOIN postcommit.outbox AS o ON o.event = e.id "
                "WHERE e.stream = $1 ORDER BY e.version",
                f"key-{id_of(name)}",
            )
        return [(row["name"], json.loads(row["data"]), json.loads(row["meta"])["actor"]) for row in found]

    async def sql(self, query: str) -> Any:
        async with self.database.driver() as connection:
            return await connection.fetchval(query)


@pytest.fixture
async def held(dsn: Callable[[str], str]) -> AsyncIterator[Held]:
    database = Database(dsn("postcommit"), 2)
    yield Held(dsn("postcommit"), database)
    await database.close()


@pytest.fixture
async def fresh(servers: Servers) -> AsyncIterator[Held]:
    """A database of its own: the names of imported keys are few."""
    name = f"keys_{next(NUMBERS)}"
    await _execute(servers.dsn("postgres", "postgres"), f"CREATE DATABASE {name} TEMPLATE postcommit")
    dsn = servers.dsn("postcommit", name)
    database = Database(dsn, 2)
    yield Held(dsn, database)
    await database.close()


async def test_a_new_key_opens_the_door_and_leaves_a_fact_without_its_secret(held: Held) -> None:
    secret = await keys.create(held.dsn, "first", Scope.AUDITOR)

    assert await held.holder(secret) == Key("first", Scope.AUDITOR)
    assert await held.facts("first") == [("key.issued", {"name": "first", "scope": "auditor"}, ME)]
    dumped = await held.sql(
        "SELECT string_agg(k::text, '') || (SELECT string_agg(e::text, '') FROM postcommit.events AS e) "
        "FROM postcommit.keys AS k"
    )
    assert secret not in dumped, "the secret is stored nowhere"


async def test_a_rotated_secret_ends_at_once_without_grace(held: Held) -> None:
    before = await keys.create(held.dsn, "second", Scope.CLIENT)
    after = await keys.rotate(held.dsn, "second", 0.0)

    assert await held.holder(before) is None
    assert await held.holder(after) == Key("second", Scope.CLIENT)
    assert (await held.facts("second"))[1:] == [("key.rotated", {"grace_s": 0.0}, ME)]


async def test_with_grace_both_secrets_are_valid_until_it_is_over(held: Held) -> None:
    before = await keys.create(held.dsn, "third", Scope.CLIENT)
    after = await keys.rotate(held.dsn, "third", 3_600.0)
    assert await held.holder(before) == await held.holder(after) == Key("third", Scope.CLIENT)
    [listed] = [row for row in await keys.listed(held.dsn) if row.name == "third"]
    assert listed.old_until is not None

    await held.sql("UPDATE postcommit.keys SET old_until = clock_timestamp() WHERE name = 'third'")

    assert await held.holder(before) is None
    assert await held.holder(after) is not None


async def test_only_the_last_secret_has_grace(held: Held) -> None:
    first = await keys.create(held.dsn, "fourth", Scope.CLIENT)
    second = await keys.rotate(held.dsn, "fourth", 3_600.0)
    third = await keys.rotate(held.dsn, "fourth", 3_600.0)
    assert [await held.holder(one) is not None for one in (first, second, third)] == [False, True, True]


async def test_revoking_ends_every_secret_and_is_done_once(held: Held) -> None:
    first = await keys.create(held.dsn, "fifth", Scope.OPERATOR)
    second = await keys.rotate(held.dsn, "fifth", 3_600.0)
    await keys.revoke(held.dsn, "fifth")
    await keys.revoke(held.dsn, "fifth")

    assert [await held.holder(one) for one in (first, second)] == [None, None]
    assert [name for name, _, _ in await held.facts("fifth")] == ["key.issued", "key.rotated", "key.revoked"]
    with pytest.raises(Conflicting, match="The key fifth was revoked"):
        await keys.rotate(held.dsn, "fifth", 0.0)
    with pytest.raises(Conflicting, match="The key fifth was revoked: a name is given only once"):
        await keys.create(held.dsn, "fifth", Scope.CLIENT)


async def test_a_name_that_is_in_use_unknown_or_no_name_is_refused(held: Held) -> None:
    await keys.create(held.dsn, "sixth", Scope.CLIENT)
    with pytest.raises(Conflicting, match="The key sixth exists already"):
        await keys.create(held.dsn, "sixth", Scope.CLIENT)
    with pytest.raises(Misused, match=r"this one is 'a\.b'"):
        await keys.create(held.dsn, "a.b", Scope.CLIENT)
    with pytest.raises(Misused, match=r"this one is -1\.0"):
        await keys.rotate(held.dsn, "sixth", -1.0)
    for change in (lambda: keys.rotate(held.dsn, "nobody", 0.0), lambda: keys.revoke(held.dsn, "nobody")):
        with pytest.raises(NotFound, match="There is no key 'nobody'"):
            await change()
    assert await held.facts("nobody") == []


async def test_of_many_who_do_the_same_at_once_one_succeeds(held: Held) -> None:
    made = await asyncio.gather(
        *(keys.create(held.dsn, "raced", Scope.CLIENT) for _ in range(6)), return_exceptions=True
    )
    [secret] = [one for one in made if isinstance(one, str)]
    assert all(isinstance(one, str | Conflicting) for one in made), made
    assert await held.holder(secret) == Key("raced", Scope.CLIENT)
    assert len(await held.facts("raced")) == 1


async def test_fact_and_row_are_written_together_or_not_at_all(held: Held, dsn: Callable[[str], str]) -> None:
    secret = await keys.create(held.dsn, "whole", Scope.CLIENT)
    owner = await asyncpg.connect(dsn("postcommit_owner"))
    await owner.execute(
        "ALTER TABLE postcommit.keys ADD CONSTRAINT never CHECK (name <> 'whole' OR revoked_at IS NULL)"
    )
    try:
        with pytest.raises(asyncpg.CheckViolationError):
            await keys.revoke(held.dsn, "whole")
    finally:
        await owner.execute("ALTER TABLE postcommit.keys DROP CONSTRAINT never")
        await owner.close()
    assert await held.holder(secret) is not None
    assert [name for name, _, _ in await held.facts("whole")] == ["key.issued"]


async def test_imported_keys_are_made_once_and_have_their_facts(fresh: Held) -> None:
    for _ in range(2):
        await keys.take(fresh.dsn, {"worker": "one", "auditor": "two"}, keep=False)
    assert await fresh.holder("one") == Key("worker", Scope.WORKER)
    assert [name for name, _, _ in await fresh.facts("worker")] == ["key.issued"]


async def test_an_import_gives_other_secrets_unless_it_is_to_keep_them(fresh: Held) -> None:
    await keys.take(fresh.dsn, {"client": "one"}, keep=False)
    await keys.take(fresh.dsn, {"client": "two"}, keep=True)
    assert await fresh.holder("one") is not None and await fresh.holder("two") is None

    await keys.take(fresh.dsn, {"client": "two"}, keep=False)

    assert await fresh.holder("one") is None and await fresh.holder("two") is not None
    assert [name for name, _, _ in await fresh.facts("client")] == ["key.issued", "key.rotated"]


async def test_an_import_revives_nobody(fresh: Held) -> None:
    await keys.take(fresh.dsn, {"operator": "one"}, keep=False)
    await keys.revoke(fresh.dsn, "operator")
    assert await keys.take(fresh.dsn, {"operator": "two", "client": "three"}, keep=False) == ["operator"]
    assert await fresh.holder("two") is None and await fresh.holder("three") is not None


async def test_an_import_takes_all_keys_or_none(fresh: Held) -> None:
    taken = await keys.create(fresh.dsn, "somebody", Scope.CLIENT)
    with pytest.raises(Conflicting, match="nothing was done to client, worker"):
        await keys.take(fresh.dsn, {"client": "one", "worker": taken}, keep=False)
    assert await fresh.holder("one") is None
    assert await fresh.facts("client") == []


async def test_a_key_of_another_scope_is_not_imported(fresh: Held) -> None:
    await keys.create(fresh.dsn, "worker", Scope.CLIENT)
    with pytest.raises(Refused, match="The key worker exists with the scope client: it cannot be imported"):
        await keys.take(fresh.dsn, {"client": "one", "worker": "two"}, keep=False)
    assert await fresh.holder("one") is None


async def test_keys_of_before_get_their_story_with_the_migration(servers: Servers) -> None:
    owner = servers.dsn("postcommit_owner", "keys_of_before")
    await _execute(servers.dsn("postgres", "postgres"), "CREATE DATABASE keys_of_before OWNER postcommit_owner")
    await asyncio.to_thread(upgrade, owner, before_keys())
    await _execute(
        owner,
        "INSERT INTO postcommit.keys (hash, name, scope, revoked_at) VALUES "
        "('a', 'old', 'client', NULL), ('b', 'ended', 'auditor', now())",
    )
    await asyncio.to_thread(upgrade, owner)

    database = Database(owner, 1)
    held = Held(owner, database)
    try:
        assert await held.facts("old") == [("key.issued", {"name": "old", "scope": "client"}, "system")]
        assert [name for name, _, _ in await held.facts("ended")] == ["key.issued", "key.revoked"]
        assert await held.holder(await keys.rotate(owner, "old", 0.0)) == Key("old", Scope.CLIENT)
        with pytest.raises(Conflicting, match="was revoked"):
            await keys.rotate(owner, "ended", 0.0)
    finally:
        await database.close()


def before_keys() -> str:
    """The version of the schema before keys had a story."""
    script = ScriptDirectory(str(MIGRATIONS)).get_revision("0003")
    assert script is not None and isinstance(script.down_revision, str)
    return script.down_revision


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
