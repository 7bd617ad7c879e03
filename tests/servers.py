"""Which servers the tests use: those that the environment names, else containers where a Docker engine answers, else
the embedded ones.

POSTCOMMIT_TEST_POSTGRES  postgresql://postgres:PASSWORD@HOST:5432/postgres   a superuser of an empty server
POSTCOMMIT_TEST_NATS      nats://{user}:PASSWORD-of-{user}@HOST:4222          a server with infra/deploy/nats.conf

Both hold nothing but what the tests write: roles, databases and the stream LOG are made, changed and thrown away."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import yaml

from adapters.postgres.database import LIMITS
from infra.accounts import rights
from infra.app import QUEUES
from infra.deploy.files import HERE, password_of
from infra.embedded import postgres

NAMED = ("POSTCOMMIT_TEST_POSTGRES", "POSTCOMMIT_TEST_NATS")
EMBEDDED = "POSTCOMMIT_TEST_EMBEDDED"  # set to anything: no engine is asked
SOCKET = Path("/var/run/docker.sock")
COMPOSE = Path(__file__).parents[1] / "compose.yaml"
PASSWORD = "secret-of-{user}"


class Choice(Enum):
    NAMED = "those that the environment names"
    CONTAINERS = "containers"
    EMBEDDED = "the embedded servers"


def choice(environ: Mapping[str, str], engine: Callable[[], bool]) -> Choice:
    """Which it is. Raises ValueError where only one of the two addresses is named."""
    named = [name for name in NAMED if environ.get(name)]
    if named:
        if missing := set(NAMED) - set(named):
            raise ValueError(f"{named[0]} is set; then {missing.pop()} is needed, too.")
        return Choice.NAMED
    return Choice.EMBEDDED if environ.get(EMBEDDED) or not engine() else Choice.CONTAINERS


def engine_answers(environ: Mapping[str, str], socket: Path = SOCKET) -> bool:
    """Whether there is a Docker engine: that its command is installed says nothing."""
    if not (environ.get("DOCKER_HOST") or socket.exists()):
        return False
    import docker  # only here: it takes its time
    from docker.errors import DockerException

    try:
        return bool(docker.from_env(timeout=3).ping())
    except (DockerException, OSError):
        return False


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Servers that this process cannot kill."""

    superuser: str
    nats: str  # with {user} in it

    def dsn(self, role: str = "postcommit", database: str = "postcommit") -> str:
        """The address of the database for the role postgres (superuser), postcommit_owner or postcommit."""
        parts = urlsplit(self.superuser)
        login, _, host = parts.netloc.rpartition("@")
        user = login if role == "postgres" else f"{role}:{PASSWORD.format(user=role)}"
        return f"postgresql://{user}@{host}/{database}"

    def nats_url(self, user: str) -> str:
        return self.nats.format(user=user)


@contextmanager
def named(environ: Mapping[str, str]) -> Iterator[Elsewhere]:
    """Those of the environment, with roles and an empty database."""
    yield _prepared(Elsewhere(*(environ[name] for name in NAMED)))


@contextmanager
def containers() -> Iterator[Elsewhere]:
    """The images of compose.yaml, fresh, with roles and an empty database."""
    from testcontainers.community.nats import NatsContainer
    from testcontainers.community.postgres import PostgresContainer

    images = {name: service["image"] for name, service in yaml.safe_load(COMPOSE.read_text())["services"].items()}
    database = PostgresContainer(images["postgres"], username="postgres", password="postgres", dbname="postgres")
    bells = NatsContainer(images["nats"]).with_volume_mapping(str(HERE / "nats.conf"), "/etc/nats/nats.conf", "ro")
    for user in rights(QUEUES):
        bells = bells.with_env(password_of(user), PASSWORD.format(user=user))
    with database, bells.with_command("-c /etc/nats/nats.conf -sd /data"):
        host, port = bells.nats_host_and_port()
        there = f"nats://{{user}}:{PASSWORD}@{host}:{port}"
        yield _prepared(Elsewhere(database.get_connection_url(driver=None), there))


def _prepared(servers: Elsewhere) -> Elsewhere:
    asyncio.run(_prepare(servers))
    return servers


async def _prepare(servers: Elsewhere) -> None:
    logins = {role: PASSWORD.format(user=role) for role in ("postcommit_owner", "postcommit")}
    server = await asyncpg.connect(servers.dsn("postgres", "postgres"))
    try:
        await server.execute(postgres.ROLES.format(**LIMITS, **logins))
        await server.execute("DROP DATABASE IF EXISTS postcommit WITH (FORCE)")
        await server.execute(postgres.DATABASE)
    finally:
        await server.close()
    database = await asyncpg.connect(servers.dsn("postgres"))
    try:
        await database.execute(postgres.INSIDE.format(extension=""))
    finally:
        await database.close()
