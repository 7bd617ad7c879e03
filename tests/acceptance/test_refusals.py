"""Does it refuse to start where it could not keep its promise, in one clear sentence and with exit code 78?"""

import asyncio
import json
import os
import re
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from nats.aio.client import ServerVersion

from infra.embedded.servers import Servers
from infra.exits import AWAY, REFUSED, Refused
from infra.loops import together
from infra.roles.role import guarded, require_nats
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


@pytest.mark.parametrize("role", [*ROLES, "check"])
@pytest.mark.parametrize(
    ("version", "sentence"),
    [
        ("0000", "The schema is too old: it is at 0000, this program needs \\d+. Run `postcommit migrate`."),
        ("9999", "The schema is too new: it is at 9999, this program knows \\d+. Upgrade the program."),
    ],
)
def test_another_schema_is_refused(servers: Servers, dsn: Dsn, role: str, version: str, sentence: str) -> None:
    known = asyncio.run(_sql(dsn("postgres"), "SELECT version_num FROM postcommit.schema_version"))
    write = "UPDATE postcommit.schema_version SET version_num = '{}', compatible_from = '{}'"
    with _changed(dsn("postgres"), write.format(version, version), write.format(known, known)):
        code, said = _role(role, dsn("postcommit"), servers)
    assert code == REFUSED and re.fullmatch(f"{sentence}\n", said), said


@pytest.mark.parametrize("role", [*ROLES, "check"])
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
        assert {_role(role, dsn("postcommit"), servers) for role in ROLES} == {(REFUSED, sentence)}


@pytest.mark.parametrize("where", ["DATABASE {name}", "ROLE postcommit", "ROLE postcommit IN DATABASE {name}"])
def test_the_reader_sees_what_its_own_sessions_hide(servers: Servers, dsn: Dsn, where: str) -> None:
    where = where.format(name=dsn("postgres").rpartition("/")[2])
    change, undo = f"ALTER {where} SET synchronous_commit = off", f"ALTER {where} RESET synchronous_commit"
    sentence = "Postgres has synchronous_commit = off, so a power cut can lose accepted tasks: turn it on.\n"
    with _changed(dsn("postgres"), change, undo):
        assert _role("reader", dsn("postcommit"), servers) == (REFUSED, sentence)


@pytest.mark.parametrize("command", ["worker", "check", "migrate"])
@pytest.mark.parametrize("wrong", ["password", "database"])
def test_a_postgres_that_lets_nobody_in_is_told_without_the_password(
    servers: Servers, dsn: Dsn, command: str, wrong: str
) -> None:
    right = dsn("postcommit")
    secret = urlsplit(dsn("postcommit")).password or ""
    given = right.replace(secret, "hunter2") if wrong == "password" else f"{right}_not"
    words = (
        'password authentication failed for user "postcommit"'
        if wrong == "password"
        else f'database "{given.rpartition("/")[2]}" does not exist'
    )
    shown = given.replace(secret, "***").replace("hunter2", "***")
    assert _role(command, given, servers) == (REFUSED, f"Postgres at {shown} refuses this: {words}.\n")


def test_migrating_without_the_rights_is_refused(servers: Servers, dsn: Dsn) -> None:
    code, said = _role("migrate", dsn("postcommit"), servers)
    name = dsn("postcommit").rpartition("/")[2]
    assert code == REFUSED
    assert said.endswith(f" refuses this: permission denied for database {name}.\n") and said.count("\n") == 1


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_check_without_nats_is_neither_green_nor_broken(dsn: Dsn, options: list[str]) -> None:
    ended = _ran("check", *options, postgres=dsn("postcommit"), nats="nats://me:hunter2@127.0.0.1:1")
    assert ended.returncode == AWAY
    assert re.fullmatch(r"NATS at nats://me:\*\*\*@127.0.0.1:1 cannot be asked: .*\.\n", ended.stderr), ended.stderr
    assert "row = fold of its stream" in ended.stdout, "what could be asked is told"
    assert "the stream = the ledger" not in ended.stdout


def test_check_without_nats_still_says_what_is_broken(dsn: Dsn) -> None:
    change = "UPDATE postcommit.cursors SET position = {} WHERE name = 'audit'"
    with _changed(dsn("postgres"), change.format(7), change.format(0)):
        ended = _ran("check", postgres=dsn("postcommit"), nats="nats://127.0.0.1:1")
    assert ended.returncode == 1 and "broken" in ended.stdout and "cannot be asked" in ended.stderr


def test_check_with_a_wrong_password_of_nats_is_refused(servers: Servers, dsn: Dsn) -> None:
    known = servers.nats_url("subscriber")
    given = known.replace(urlsplit(known).password or "", "hunter2")
    ended = _ran("check", postgres=dsn("postcommit"), nats=given)
    shown = given.replace("hunter2", "***")
    assert ended.returncode == REFUSED
    assert ended.stderr == f"NATS at {shown} refuses this: nats: 'Authorization Violation'.\n"


def test_up_ends_when_its_roles_refuse(tmp_path: Path) -> None:
    with up(tmp_path) as service:
        asyncio.run(service.sql("UPDATE postcommit.schema_version SET version_num = '9999', compatible_from = '9999'"))
        service.stop()
        code, said = _said(tmp_path)
    assert code == REFUSED
    assert "The schema is too new: it is at 9999" in said
    assert not (tmp_path / "run.json").exists()


@pytest.mark.parametrize("version", ["2.10.29", "2.13.99", "1.99.0"])
async def test_a_nats_that_is_too_old_is_refused(version: str) -> None:
    with pytest.raises(Refused, match=f"NATS has version {version}, and postcommit needs 2.14 or newer."):
        await together(require_nats(_linked(version)), asyncio.sleep(60))


@pytest.mark.parametrize("role", ROLES)
def test_every_role_refuses_a_nats_that_is_too_old(dsn: Dsn, role: str) -> None:
    with _old_nats("2.10.29") as address:
        ended = _ran(role, postgres=dsn("postcommit"), nats=address)
    assert ended.returncode == REFUSED, ended.stderr
    assert "NATS has version 2.10.29, and postcommit needs 2.14 or newer.\n" in ended.stderr


async def test_a_nats_that_is_away_holds_nobody_up() -> None:
    async with asyncio.timeout(5), guarded(require_nats(_linked("2.14.0", away=True))):
        pass


async def test_a_nats_that_is_new_enough_is_taken() -> None:
    for version in ("2.14.0", "2.15.1", "3.0.0"):
        await require_nats(_linked(version))


def _linked(version: str, away: bool = False) -> Any:
    """A connection to a server of that version."""

    async def wait() -> None:
        await asyncio.sleep(60 if away else 0)

    return SimpleNamespace(wait=wait, client=SimpleNamespace(connected_server_version=ServerVersion(version)))


def _said(home: Path, port: int = 0) -> tuple[int, str]:
    """How `postcommit up` ended, and what it said."""
    talk = home / "talk.log"
    before = talk.stat().st_size if talk.exists() else 0
    code = starting(home, port=port).wait(60)
    return code, talk.read_text()[before:]


def _role(role: str, postgres: str, servers: Servers) -> tuple[int, str]:
    """How the role ended, and what it said."""
    ended = _ran(role, postgres=postgres, nats=servers.nats_url(role if role in ROLES else "subscriber"))
    assert ended.stdout == ""
    return ended.returncode, ended.stderr


def _ran(*command: str, postgres: str, nats: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "infra.cli", *command],
        env=os.environ | {"POSTCOMMIT_POSTGRES": postgres, "POSTCOMMIT_NATS": nats, "POSTCOMMIT_PORT": "0"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    )


class _OldNats(socketserver.StreamRequestHandler):
    """As much of a server as a client needs to believe that it is connected."""

    def handle(self) -> None:
        self.wfile.write(self.server.greeting)  # type: ignore[attr-defined]
        for line in self.rfile:
            if line.startswith(b"PING"):
                self.wfile.write(b"PONG\r\n")


@contextmanager
def _old_nats(version: str) -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _OldNats) as server:
        told = {"server_id": "old", "version": version, "proto": 1, "headers": True, "max_payload": 1_048_576}
        server.greeting = b"INFO " + json.dumps(told).encode() + b"\r\n"  # type: ignore[attr-defined]
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"nats://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


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
