"""Real servers for the tests: started once, a fresh database for every module."""

import asyncio
import os
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

import asyncpg
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from infra.embedded.servers import Servers, start_servers
from infra.migrate import upgrade
from tests.servers import Choice, Elsewhere, choice, containers, engine_answers, named

pytest.register_assert_rewrite("tests.acceptance", "tests.contracts", "tests.flows", "tests.fuzz")  # what tests share
NUMBERS = count(1)


class Lanes(LoadScopeScheduling):  # type: ignore[misc]
    """With `-n 3` there are three lanes: one for all tests but those of acceptance, which mostly wait, and which take
    the two others file by file."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0] if nodeid.startswith("tests/acceptance/") else "others"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Lanes:
    return Lanes(config, log)


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of a service that speaks S3."""
    from tests.objects import s3_server  # it takes a second to load

    with s3_server() as address:
        yield address


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers | Elsewhere]:
    """Postgres and NATS, as tests/servers.py chooses them; the database `postcommit` has the schema and is a template
    only."""
    match choice(os.environ, partial(engine_answers, os.environ)):
        case Choice.NAMED:
            found = named(os.environ)
        case Choice.CONTAINERS:
            found = containers()
        case Choice.EMBEDDED:
            found = start_servers(Path(tmp_path_factory.mktemp("servers")))
    with found as running:
        upgrade(running.dsn("postcommit_owner"))
        yield running


@pytest.fixture(scope="session")
def embedded(servers: Servers | Elsewhere) -> Servers:
    """The same, for tests that kill them or look into their directory."""
    if isinstance(servers, Elsewhere):
        pytest.skip("This test kills the servers or looks into their directory: only the embedded ones allow that.")
    return servers


@pytest.fixture(scope="module")
def dsn(servers: Servers | Elsewhere) -> Callable[[str], str]:
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
