"""Real servers for the tests: started once, a fresh database for every module."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from infra.embedded.servers import Servers, start_servers
from infra.migrate import upgrade

NUMBERS = count(1)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Postgres, NATS and the mail sink; the database `postcommit` has the schema and is a template only."""
    with start_servers(Path(tmp_path_factory.mktemp("servers"))) as running:
        upgrade(running.dsn("postcommit_owner"))
        yield running


@pytest.fixture(scope="module")
def dsn(servers: Servers) -> Callable[[str], str]:
    """The address of a database that only this module uses, by role."""
    name = f"test_{next(NUMBERS)}"
    asyncio.run(_execute(servers.dsn("postgres", "postgres"), f"CREATE DATABASE {name} TEMPLATE postcommit"))
    return lambda role: servers.dsn(role, name)


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
