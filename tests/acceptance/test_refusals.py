"""Does it refuse to start where it could not keep its promise, in one clear sentence and with exit code 78?"""

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
from nats.aio.client import ServerVersion

from infra.embedded.servers import Servers
from infra.roles.role import REFUSED, Refused, require_nats, together
from tests.acceptance.running import ROLES, ROOT, Running, starting, up

Dsn = Callable[[str], str]


def test_a_port_that_is_used_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as used:
        port = used.getsockname()[1]
        code, said = _said(tmp_path, port)
    assert (code, said) == (REFUSED, f"The port {port} is already used by another program.\n")


def test_a_second_supervisor_of_a_directory_is_refused(service: Running) -> None:
    before = service.told
    code, said = _said(service.home)
    assert code == REFUSED
    assert said == f"The directory {service.home} is already served by process {service.process.pid}.\n"
    assert service.told == before, "the first one goes on"


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("version", "sentence"),
    [
        ("0000", "The schema is too old: it is at 0000, this program needs \\d+. Run `postcommit migrate`."),
        ("9999", "The schema is too new: it is at 9999, this program knows \\d+. Upgrade the program."),
    ],
)
def test_another_schema_is_refused(servers: Servers, dsn: Dsn, role: str, version: str, sentence: str) -> None:
    known = asyncio.run(_sql(dsn("postgres"), "SELECT version_num FROM postcommit.schema_version"))
    write = "UPDATE postcommit.schema_version SET version_num = '{}'"
    with _changed(dsn("postgres"), write.format(version), write.format(known)):
        code, said = _role(role, dsn("postcommit"), servers)
    assert code == REFUSED and re.fullmatch(f"{sentence}\n", said), said


@pytest.mark.parametrize("role", ROLES)
def test_a_database_without_a_schema_is_refused(servers: Servers, role: str) -> None:
    code, said = _role(role, servers.dsn("postcommit", "template1"), servers)
    assert (code, said) == (REFUSED, "The database has no postcommit schema: run `postcommit migrate` first.\n")


@pytest.mark.parametrize("name", ["fsync", "full_page_writes", "synchronous_commit"])
def test_a_postgres_that_can_lose_what_it_acknowledged_is_refused(servers: Servers, dsn: Dsn, name: str) -> None:
    change = "ALTER SYSTEM SET {} = off; SELECT pg_reload_conf()"
    undo = "ALTER SYSTEM RESET {}; SELECT pg_reload_conf()"
    sentence = f"Postgres has {name} = off, so a power cut can lose accepted tasks: turn it on.\n"
    with _changed(dsn("postgres"), change.format(name), undo.format(name)):
        while asyncio.run(_sql(dsn("postgres"), f"SHOW {name}")) != "off":
            pass  # a moment passes until the server has read it
        roles = set(ROLES) - ({"reader"} if name == "synchronous_commit" else set())  # what it writes can be read again
        assert {_role(role, dsn("postcommit"), servers) for role in roles} == {(REFUSED, sentence)}


def test_up_ends_when_its_roles_refuse(tmp_path: Path) -> None:
    with up(tmp_path) as service:
        asyncio.run(service.sql("UPDATE postcommit.schema_version SET version_num = '9999'"))
        service.stop()
        code, said = _said(tmp_path)
    assert code == REFUSED
    assert "The schema is too new: it is at 9999" in said
    assert not (tmp_path / "run.json").exists()


@pytest.mark.parametrize("version", ["2.10.29", "2.13.99", "1.99.0"])
async def test_a_nats_that_is_too_old_is_refused(version: str) -> None:
    with pytest.raises(Refused, match=f"NATS has version {version}, and postcommit needs 2.14 or newer."):
        await together(require_nats(_linked(version)), asyncio.sleep(60))


async def test_a_nats_that_is_new_enough_is_taken() -> None:
    for version in ("2.14.0", "2.15.1", "3.0.0"):
        await require_nats(_linked(version))


def _linked(version: str) -> Any:
    """A connection to a server of that version."""

    async def at_once() -> None: ...

    return SimpleNamespace(wait=at_once, client=SimpleNamespace(connected_server_version=ServerVersion(version)))


def _said(home: Path, port: int = 0) -> tuple[int, str]:
    """How `postcommit up` ended, and what it said."""
    talk = home / "talk.log"
    before = talk.stat().st_size if talk.exists() else 0
    code = starting(home, port=port).wait(60)
    return code, talk.read_text()[before:]


def _role(role: str, postgres: str, servers: Servers) -> tuple[int, str]:
    """How the role ended, and what it said."""
    ended = subprocess.run(
        [sys.executable, "-m", "infra.cli", role],
        env=os.environ
        | {"POSTCOMMIT_POSTGRES": postgres, "POSTCOMMIT_NATS": servers.nats_url(role), "POSTCOMMIT_PORT": "0"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.stdout == ""
    return ended.returncode, ended.stderr


@contextmanager
def _changed(dsn: str, change: str, undo: str) -> Iterator[None]:
    for statement in change.split("; "):
        asyncio.run(_sql(dsn, statement))
    try:
        yield
    finally:
        for statement in undo.split("; "):
            asyncio.run(_sql(dsn, statement))


async def _sql(dsn: str, statement: str) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()
