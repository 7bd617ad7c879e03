"""Roles as processes of their own, without `postcommit up`: a real Postgres, and NATS wherever it is."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from infra.app import QUEUES
from infra.embedded.home import Home, occupied
from infra.embedded.servers import Servers, servers_of
from tests.acceptance.running import QUICK, ROOT

Process = subprocess.Popen[bytes]


@dataclass(slots=True)
class Apart:
    """A home with its own Postgres; `nats` says where NATS is, by the name of a user."""

    servers: Servers
    nats: Mapping[str, str]
    environ: Mapping[str, str] = field(default_factory=dict)
    roles: dict[str, Process] = field(default_factory=dict)

    @property
    def home(self) -> Home:
        return self.servers.home

    def prepare(self, tree: Path = ROOT) -> None:
        """Bring the schema up to date, and make the keys, by the program in the tree."""
        made = self.told("migrate", tree=tree, POSTCOMMIT_POSTGRES_OWNER=self.servers.dsn("postcommit_owner"))
        assert made.returncode == 0, made.stderr
        assert self.told("keys", "import", tree=tree).returncode == 0

    def start(self, role: str, tree: Path = ROOT, name: str | None = None, **environ: str) -> Process:
        """A role of the program that lies in the tree."""
        name = name or role
        with self.home.log(name).open("ab") as log:
            self.roles[name] = process = subprocess.Popen(
                program(role), env=self.environment(role, tree) | environ, cwd=tree, stdout=log, stderr=log
            )
        return process

    def told(self, *arguments: str, tree: Path = ROOT, **environ: str) -> "subprocess.CompletedProcess[str]":
        """What a command of the program in the tree says, with the rights of a subscriber."""
        return subprocess.run(
            program(*arguments),
            env=self.environment("subscriber", tree) | environ,
            cwd=tree,
            capture_output=True,
            text=True,
            timeout=60,
            input=json.dumps(self.home.secrets["keys"]),
        )

    def environment(self, user: str, tree: Path) -> dict[str, str]:
        own = {
            "PYTHONPATH": str(tree),
            "POSTCOMMIT_POSTGRES": self.servers.dsn(),
            "POSTCOMMIT_NATS": self.nats[user],
            "POSTCOMMIT_SMTP": self.servers.smtp,
            "POSTCOMMIT_PORT": str(self.home.ports["http"]),
        }
        return {**os.environ, **QUICK, **own, **self.environ}

    def log(self, name: str) -> str:
        return self.home.log(name).read_text(errors="replace")

    def ended(self) -> dict[str, int]:
        """The exit codes of the roles that run no more, though nobody stopped them."""
        return {name: code for name, process in self.roles.items() if (code := process.poll()) is not None}

    def stop(self, name: str) -> int:
        """SIGTERM; answers with the exit code."""
        process = self.roles.pop(name)
        process.terminate()
        return process.wait(30)

    def client(self, port: int | None = None, timeout: float = 30.0) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port or self.home.ports['http']}",
            headers={"Authorization": f"Bearer {self.home.secrets['keys']['operator']}"},
            timeout=timeout,
            trust_env=False,
            limits=httpx.Limits(max_connections=200),
        )

    async def sql(self, query: str, role: str = "postgres") -> Any:
        connection = await asyncpg.connect(self.servers.dsn(role))
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    def sound(self, tree: Path = ROOT, patience_s: float = 30.0) -> None:
        """Until `postcommit check` of the program in the tree finds that every invariant holds."""
        deadline = time.monotonic() + patience_s
        while (found := self.told("check", tree=tree)).returncode != 0:
            assert time.monotonic() < deadline, found.stdout + found.stderr


def program(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "infra.cli", *arguments]


@contextmanager
def apart(path: Path, nats: Mapping[str, str] | None = None, **environ: str) -> Iterator[Apart]:
    """Postgres and the mail sink, with schema and keys, for as long as the block runs; the embedded NATS, too, where no
    other is named. Whatever roles run at the end are stopped."""
    with occupied(path) as home:
        servers = servers_of(home, QUEUES)
        started = [servers.postgres, servers.mail] + ([servers.nats] if nats is None else [])
        found = {user: home.nats(user) for user in home.secrets["nats"]} if nats is None else nats
        here = Apart(servers, found, environ)
        try:
            for server in started:
                server.start()
            here.prepare()
            yield here
        finally:
            for process in here.roles.values():
                process.terminate()
            for process in here.roles.values():
                process.wait(30)
            for server in reversed(started):
                server.stop()
