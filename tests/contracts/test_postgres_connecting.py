"""Does an address of Postgres mean what it means to libpq, and do two first migrations get along?"""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from adapters.postgres.database import Database, Unavailable, Unsafe, engine_of
from adapters.postgres.leadership import Leadership
from infra import asking
from infra.embedded.servers import Servers
from infra.exits import Away, Refused
from infra.migrate import head, upgrade
from tests.waiting import until_told

Connected = Any  # an asyncpg connection
Dsn = Callable[[str], str]
ROOT = Path(__file__).parents[2]
LOCK = 0x706F7374  # of infra/migrations/env.py
WHO = "SELECT current_setting('application_name')"

TAKEN = [
    "sslmode=disable&application_name=mine",
    "sslmode=prefer&connect_timeout=10&application_name=mine&client_encoding=UTF8",
    "gssencmode=disable&channel_binding=prefer&target_session_attrs=any&application_name=mine",
    "keepalives=1&keepalives_idle=30&keepalives_interval=10&keepalives_count=3&tcp_user_timeout=9000&application_name=mine",
    "fallback_application_name=theirs&options=-c%20geqo%3Doff&application_name=mine",
]
REFUSED = [
    ("sslmode=nonsense", "refuses this: `sslmode` parameter must be one of: disable"),
    ("connect_timeout=soon", "refuses this: connect_timeout should be whole seconds, and it is 'soon'."),
    ("channel_binding=require", 'refuses this: unrecognized configuration parameter "channel_binding".'),
    ("nonsense=1", 'refuses this: unrecognized configuration parameter "nonsense".'),
]


@pytest.fixture
async def admin(servers: Servers) -> AsyncIterator[Connected]:
    connection = await asyncpg.connect(servers.dsn("postgres", "postgres"))
    yield connection
    await connection.close()


@pytest.mark.parametrize("parameters", TAKEN)
async def test_a_parameter_of_libpq_is_taken_by_the_pool_and_by_the_leader(dsn: Dsn, parameters: str) -> None:
    given = f"{dsn('postcommit')}?{parameters}"
    database = Database(given, 1)
    async with database.driver() as connection:
        assert await connection.fetchval(WHO) == "mine"
        assert await connection.fetchval("SHOW lock_timeout") == "1s", "our own settings of the session are kept"
    await database.close()
    async with await Leadership.open(given) as leadership:
        assert await leadership.lead()
    await asyncio.to_thread(upgrade, f"{dsn('postgres')}?{parameters}")


@pytest.mark.parametrize(("parameters", "words"), REFUSED)
async def test_a_parameter_that_nobody_can_follow_is_refused(dsn: Dsn, parameters: str, words: str) -> None:
    given = f"{dsn('postcommit')}?{parameters}"
    database = Database(given, 1)
    with pytest.raises(Refused) as refusal, asking.postgres(given):
        await database.schema()
    assert words in str(refusal.value)
    with pytest.raises((Unavailable, asyncpg.PostgresError)):
        await Leadership.open(given)
    await database.close()


async def test_without_an_application_name_each_pool_has_its_own(dsn: Dsn) -> None:
    engine = engine_of(dsn("postcommit"), {"application_name": "ours"})
    async with engine.connect() as connection:
        assert (await connection.exec_driver_sql(WHO)).scalar_one() == "ours"
    await engine.dispose()


async def test_an_address_that_turns_durability_off_is_unsafe(dsn: Dsn) -> None:
    database = Database(f"{dsn('postcommit')}?synchronous_commit=off", 1)
    with pytest.raises(Unsafe, match="synchronous_commit = off"):
        await database.require_safe()
    await database.close()


async def test_two_first_migrations_at_once_both_end_well(servers: Servers, admin: Connected) -> None:
    await admin.execute("CREATE DATABASE fresh OWNER postcommit_owner TEMPLATE template0")
    dsn = servers.dsn("postcommit_owner", "fresh")
    holder = await asyncpg.connect(dsn)
    await holder.execute("SELECT pg_advisory_lock($1)", LOCK)
    both = [_migrating(dsn) for _ in range(2)]

    async def wait() -> bool:
        waiting = "SELECT count(*) = 2 FROM pg_stat_activity WHERE datname = 'fresh' AND wait_event_type = 'Lock'"
        return bool(await admin.fetchval(waiting))

    await until_told(wait, 30)
    await holder.close()
    said = [await asyncio.to_thread(one.communicate, timeout=60) for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    assert {err for _, err in said} == {f"The schema is at {head()}.\n"}


def _migrating(owner: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "infra.cli", "migrate"],
        env=os.environ | {"POSTCOMMIT_POSTGRES_OWNER": owner},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def test_a_statement_that_takes_too_long_is_told_as_that(dsn: Dsn) -> None:
    database = Database(dsn("postcommit"), 1, statement_s=1)
    try:
        with pytest.raises(Away, match="took too long for this: canceling statement"), asking.postgres(database.dsn):
            async with database.driver() as connection:
                await connection.execute("SELECT pg_sleep(5)")
    finally:
        await database.close()
