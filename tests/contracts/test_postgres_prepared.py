"""Does infra/deploy/postgres.sql make of an empty Postgres what the embedded one is?"""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from adapters.postgres.database import Database
from infra.deploy.files import HERE
from infra.embedded import postgres
from infra.embedded.binaries import postgres_bin, postgres_user
from infra.embedded.child import Process, until
from infra.embedded.home import Home, occupied
from infra.embedded.servers import Server, Servers
from infra.migrate import require, upgrade

RIGHTS = """
    SELECT rolname, rolsuper, rolcanlogin, rolcreaterole, rolcreatedb, rolbypassrls, rolconfig,
        array(SELECT roleid::regrole::text || admin_option FROM pg_auth_members WHERE member = r.oid ORDER BY 1)
    FROM pg_roles AS r WHERE rolname LIKE 'postcommit%' ORDER BY 1"""


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Home]:
    """A Postgres with nothing but its superuser."""
    with occupied(tmp_path) as home:

        async def ready(process: Process) -> None:
            await until(process, home.log("postgres"), lambda: _answers(home))

        server = Server(partial(postgres.command, home), ready, postgres.STOP)
        server.start()
        try:
            yield home
        finally:
            server.stop()


async def test_it_makes_the_roles_and_the_database_once_and_again(empty: Home, embedded: Servers) -> None:
    for _ in range(2):
        told = _psql(empty)
        assert told.returncode == 0, told.stderr
    assert await _rights(empty) == await _rights(embedded.home)
    await asyncio.to_thread(upgrade, empty.dsn("postcommit_owner"))
    database = Database(empty.dsn("postcommit"), 1)
    try:
        await require(database)
        await database.require_safe()
        async with database.driver() as connection:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("DELETE FROM postcommit.events")
    finally:
        await database.close()


def _psql(home: Home) -> "subprocess.CompletedProcess[str]":
    secrets = home.secrets["postgres"]
    passwords = {
        "POSTGRES_OWNER_PASSWORD": secrets["postcommit_owner"],
        "POSTGRES_APP_PASSWORD": secrets["postcommit"],
    }
    return subprocess.run(
        [postgres_bin(postgres_user()) / "psql", home.dsn("postgres", "postgres"), "-f", HERE / "postgres.sql"],
        env=os.environ | passwords,
        capture_output=True,
        text=True,
        timeout=30,
    )


async def _rights(home: Home) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(home.dsn("postgres", "postgres"))
    try:
        return [tuple(row) for row in await connection.fetch(RIGHTS)]
    finally:
        await connection.close()


async def _answers(home: Home) -> bool:
    try:
        await (await asyncpg.connect(home.dsn("postgres", "postgres"))).close()
    except (OSError, asyncpg.PostgresError):
        return False
    return True
