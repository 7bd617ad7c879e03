"""Three nats-servers as one cluster on this machine, by the very configuration that is for servers of one's own."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import nats

from adapters.nats.api import ApiError, NoAnswer, call
from infra.accounts import rights
from infra.app import QUEUES
from infra.deploy.files import HERE, password_of
from infra.embedded.binaries import nats_server
from infra.embedded.child import Command, Process, until
from infra.embedded.home import HOST, free_port
from infra.embedded.servers import Server
from tests.waiting import until_told

SIZE = 3
USERS = tuple(rights(QUEUES))
AWAY = (OSError, nats.errors.Error, NoAnswer, ApiError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Node:
    """One of the servers. Its directory and its ports outlive the process."""

    name: str
    folder: Path
    client: int
    route: int
    health: int
    server: Server


@dataclass(frozen=True, slots=True)
class Cluster:
    nodes: tuple[Node, ...]

    @property
    def urls(self) -> Mapping[str, str]:
        """Of all servers, by user."""
        return {user: ",".join(_url(user, node) for node in self.nodes) for user in USERS}

    async def info(self) -> Any:
        """What the cluster tells of the stream LOG, as soon as somebody can tell."""

        async def ask() -> Any:
            options = {"user": "admin", "password": _password("admin"), "error_cb": _unheard}
            servers = [f"nats://{HOST}:{node.client}" for node in self.nodes if node.server.pid]
            client = await nats.connect(servers, allow_reconnect=False, connect_timeout=1, **options)
            try:
                return await call(client, "STREAM.INFO.LOG", timeout=2.0)
            finally:
                await client.close()

        return await until_told(ask, 30, AWAY)

    async def leader(self) -> Node:
        """Who leads the stream."""

        async def ask() -> Node | None:
            name = (await self.info())["cluster"].get("leader")
            return next((node for node in self.nodes if node.name == name), None)

        return await until_told(ask, 30)

    async def whole(self) -> None:
        """Until every server of the cluster is there and holds all of the stream."""

        async def current() -> bool:
            found = (await self.info())["cluster"]
            others = found.get("replicas") or []
            return "leader" in found and len(others) == SIZE - 1 and all(one["current"] for one in others)

        await until_told(current, 30)


@contextmanager
def cluster(path: Path) -> Iterator[Cluster]:
    """The cluster, for as long as the block runs."""
    ports = [tuple(free_port() for _ in range(3)) for _ in range(SIZE)]
    routes = ",".join(f"nats://routes:{_password('routes')}@{HOST}:{route}" for _, route, _ in ports)
    nodes = tuple(_node(path / f"nats-{number}", routes, *own) for number, own in enumerate(ports, 1))
    try:
        for node in nodes:
            node.server.start()
        yield Cluster(nodes)
    finally:
        for node in nodes:
            node.server.stop()


def _node(folder: Path, routes: str, client: int, route: int, health: int) -> Node:
    folder.mkdir(parents=True)
    log = folder / "log"

    def command() -> Command:
        own = ("--name", folder.name, "--addr", HOST, "--port", str(client), "--http_port", str(health))
        listen = f"nats://routes:{_password('routes')}@{HOST}:{route}"
        joined = ("--cluster_name", "postcommit", "--cluster", listen, "--routes", routes)
        return Command(
            name=folder.name,
            argv=(str(nats_server()), "-c", str(HERE / "nats.conf"), "-sd", str(folder / "store"), *own, *joined),
            env={**os.environ, **{password_of(user): _password(user) for user in USERS}},
            log=log,
            lock=folder / "lock",
        )

    async def listens(process: Process) -> None:
        """It serves; whether the others are there is another question."""

        async def answers() -> bool:
            async with httpx.AsyncClient(trust_env=False, timeout=1.0) as asking:
                try:
                    return (await asking.get(f"http://{HOST}:{health}/varz")).status_code == 200
                except httpx.HTTPError:
                    return False

        await until(process, log, answers)

    return Node(folder.name, folder, client, route, health, Server(command, listens))


def _url(user: str, node: Node) -> str:
    return f"nats://{user}:{_password(user)}@{HOST}:{node.client}"


def _password(user: str) -> str:
    return f"secret-of-{user}"


async def _unheard(_: Exception) -> None:
    """Servers that are away are the subject here."""
