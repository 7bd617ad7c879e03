"""The servers of all contenders, on loopback: one Postgres for everybody, our NATS, and for the peers a NATS and a
Redis each as it comes, and with every write on the disk before it is acknowledged."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from infra.app import QUEUES
from infra.embedded.binaries import nats_server
from infra.embedded.home import Home, occupied
from infra.embedded.servers import Servers, servers_of
from tests.bench.ours import program

NATS = 'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{path}"{sync} }}\n'
REDIS = ("--bind", "127.0.0.1", "--appendonly", "yes", "--save", "", "--protected-mode", "no")


@dataclass(slots=True)
class Bench:
    """Where everything is, by the name of a backend: `postgres`, `redis`, `redis always`, `nats`, `nats always`."""

    path: Path
    ours: Servers
    urls: dict[str, str] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)

    @property
    def records(self) -> Path:
        return self.path / "records"

    def environ(self, backend: str) -> dict[str, str]:
        """What a contender on the backend is told."""
        of = {name: self.urls.get(name, "") for name in ("redis", "nats", "postgres")}
        of[backend.partition(" ")[0]] = self.urls.get(backend, "")
        return {
            "BENCH_REDIS": of["redis"],
            "BENCH_NATS": of["nats"],
            "BENCH_POSTGRES": of["postgres"],
            "BENCH_SERVERS": json.dumps(self.serving(backend)),
            "BENCH_RECORDS": str(self.records),
            "BENCH_LOGS": str(self.path),
            "BENCH_OURS": json.dumps(self.told),
            "POSTCOMMIT_POSTGRES": self.ours.dsn(),
            "POSTCOMMIT_NATS": self.ours.nats_url("api"),
            "POSTCOMMIT_PORT": str(self.ours.home.ports["http"]),
            "POSTCOMMIT_LOG_LEVEL": "warning",
        }

    def serving(self, backend: str) -> list[int]:
        """The servers that a contender on the backend makes work: their processor time is its own."""
        names = ("postgres", "ours") if backend == "ours" else (backend,)
        return [self.pids[name] for name in names if name in self.pids]

    @property
    def told(self) -> dict[str, object]:
        home = self.ours.home
        return {
            "admin": self.ours.dsn("postgres"),
            "nats": {user: home.nats(user) for user in home.secrets["nats"]},
            "port": home.ports["http"],
            "key": home.secrets["keys"]["client"],
            "logs": str(self.path),
        }


@contextmanager
def ours(path: Path) -> Iterator[Bench]:
    """Our own two servers, empty, for as long as the block runs."""
    path.chmod(0o755)  # Postgres may run as another user
    with occupied(path / "ours") as home, ExitStack() as running:
        servers = servers_of(home, QUEUES)
        here = Bench(path, servers)
        for server in (servers.postgres, servers.nats):
            server.start()
            running.callback(server.stop)
        here.pids |= {"postgres": servers.postgres.pid, "ours": servers.nats.pid}
        _prepare(here, home)
        yield here


@contextmanager
def bench(path: Path) -> Iterator[Bench]:
    """All of them, empty, for as long as the block runs."""
    with ours(path) as here, ExitStack() as running:
        for name, sync in (("nats", ""), ("nats always", ", sync_interval: always")):
            _start(here, running, name, *_nats(path, name, sync))
        if redis := shutil.which("redis-server"):
            for name, sync in (("redis", "everysec"), ("redis always", "always")):
                port = free_port()
                (path / name).mkdir()
                argv = [redis, "--port", str(port), "--dir", str(path / name), "--appendfsync", sync, *REDIS]
                _start(here, running, name, argv, port)
        yield here


def _prepare(here: Bench, home: Home) -> None:
    """Our schema and keys, and a database for the peers."""
    for arguments in (("migrate",), ("keys", "import", "--keep")):
        env = {
            **os.environ,
            **here.environ("postgres"),
            "POSTCOMMIT_POSTGRES_OWNER": here.ours.dsn("postcommit_owner"),
        }
        keys = json.dumps(home.secrets["keys"]).encode()
        subprocess.run([*program(arguments[0]), *arguments[1:]], env=env, input=keys, check=True, stdout=2)
    here.urls["postgres"] = here.ours.dsn("postgres", "peers")

    async def create() -> None:
        connection = await asyncpg.connect(here.ours.dsn("postgres", "postgres"))
        await connection.execute("CREATE DATABASE peers")
        await connection.close()

    asyncio.run(create())


def _nats(path: Path, name: str, sync: str) -> tuple[list[str], int]:
    port, config = free_port(), path / f"{name}.conf"
    config.write_text(NATS.format(port=port, path=path / name, sync=sync))
    return [str(nats_server()), "-c", str(config)], port


def _start(here: Bench, running: ExitStack, name: str, argv: list[str], port: int) -> None:
    with (here.path / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    running.callback(_end, process)
    _await_port(port, process)
    here.pids[name] = process.pid
    here.urls[name] = f"{name.partition(' ')[0]}://127.0.0.1:{port}"


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    process.wait(30)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _await_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(1_000):
        with socket.socket() as trying:
            if trying.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise RuntimeError(f"{process.args!r} does not serve at port {port}.")
