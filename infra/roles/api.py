"""The role `api`: the REST API, until SIGTERM. NATS is only rung: without it the API takes and answers everything."""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from uuid import UUID

import asyncpg
import uvicorn
from litestar import Litestar
from litestar.types import ASGIApp
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from adapters.http.app import create_app, stop
from adapters.http.protocol import Protocol
from adapters.http.service import Intake, Service
from adapters.nats.bells import MOST_NAMED, ring_queue
from adapters.nats.broker import Link
from adapters.nats.names import LOG_BELL
from adapters.postgres import files, keys
from adapters.postgres.database import Database, Unavailable
from adapters.postgres.log import PostgresLog
from adapters.postgres.queries import PostgresQueries
from adapters.postgres.readers import READERS
from infra.app import KINDS
from infra.clock import Clock
from infra.exits import Refused
from infra.migrate import head, unfit
from infra.roles.role import guarded, name_of, ready, require_nats, settled
from infra.settings import Settings
from infra.store import store_of
from infra.telemetry import telemetry

LATE = timedelta(seconds=10)  # who is so far behind stands still
GRACE_S = 8  # what requests get that are being answered at SIGTERM
UNAVAILABLE: tuple[type[Exception], ...] = (
    Unavailable,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,  # its disk fails
    DBAPIError,  # as SQLAlchemy tells of the same
)
PROBLEMS: dict[type[Exception], str] = {
    **dict.fromkeys((*UNAVAILABLE, files.Going), "unavailable"),
    ProgrammingError: "internal",
}
Ring = Callable[[Mapping[str, list[UUID]]], None]
Checks = Mapping[str, Callable[[], Awaitable[bool]]]


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises Refused or Away, each with one clear sentence."""
    trusted, listening = _networks(settings.trusted_proxies), _listen(settings)
    database = Database(settings.postgres, settings.pool, "postcommit api")
    health = Database(settings.postgres, 1, "postcommit api health")
    link = Link(settings.nats, "api", name_of("api"))
    log = PostgresLog(database, settings.backlog)
    traces = telemetry(settings, name_of("api"))
    try:
        await ready(database)
        link.open()
        checked = checks(health, lambda: link.up)
        service = replace(
            service_of(database, log, checked, ring_by(link)), trusted=trusted, mail=_folder(settings.mail_dir)
        )
        service = replace(service, intake=intake_of(settings, database))
        service = replace(service, notices=_folder(settings.notices_dir), private_webhooks=settings.webhook_private)
        async with guarded(require_nats(link)):
            app = create_app(service)
            settled()
            await _run(app, traces.requests(app), listening)
            await log.drain()
    finally:
        listening.close()
        await link.close()
        await health.close()
        await database.close()
        traces.end()


def service_of(database: Database, log: PostgresLog, checks: Checks, ring: Ring) -> Service:
    """The ports of the REST API, connected to Postgres."""
    clock = Clock()
    return Service(
        log=log,
        queries=PostgresQueries(database),
        find_key=partial(keys.find, database),
        find_signer=partial(keys.signer, database),
        kinds=KINDS,
        ring=ring,
        checks=checks,
        now=clock.now,
        new_id=clock.new_id,
        problems=PROBLEMS,
    )


def intake_of(settings: Settings, database: Database) -> Intake | None:
    """Where files come in, where the settings name a store. Raises Refused."""
    store = store_of(settings)
    if store is None:
        return None
    return Intake(
        uploads=store.uploads,
        files=store.files,
        touch=partial(files.touch, database),
        most_bytes=settings.upload_most_bytes,
        most_bytes_a_day=settings.upload_most_bytes_a_day,
        most_at_once=settings.upload_most_at_once,
        patience=store.patience,
        public=settings.public_url.rstrip("/"),
    )


def checks(health: Database, nats_up: Callable[[], bool]) -> Checks:
    """What /readyz looks at. `health` is a pool of its own, so that a busy one does not look like a dead one."""
    wanted = head()

    async def postgres() -> bool:
        async with health.core() as connection:
            return bool(await connection.scalar(text("SELECT true")))

    async def schema() -> bool:
        return unfit(await health.schema(), wanted) is None

    async def nats() -> bool:
        return nats_up()

    def moves(*names: str) -> Callable[[], Awaitable[bool]]:
        async def check() -> bool:
            return not {row["name"] for row in await health.fetch("find_late", LATE)} & set(names)

        return check

    moving = {"relay": moves("relay"), "mirror": moves("mirror"), "readers": moves(*READERS)}
    return {"postgres": postgres, "schema": schema, "nats": nats} | moving


def ring_by(link: Link) -> Ring:
    """Rings the relay and the workers of what was written, in the background: once for all that one statement wrote."""
    named: dict[str, list[UUID]] = {}

    async def ring_queues() -> None:
        rung = dict(named)
        named.clear()
        for queue, ids in rung.items():
            await ring_queue(link, queue, ids[:MOST_NAMED])  # the relay tells of the others

    def ring(queues: Mapping[str, list[UUID]]) -> None:
        if not link.up:
            return
        link.ring_soon(LOG_BELL)
        if queues and not named:
            link.soon(ring_queues())
        for queue, ids in queues.items():
            named.setdefault(queue, []).extend(ids)

    return ring


async def _run(app: Litestar, served: ASGIApp, listening: socket.socket) -> None:
    """Serve until a signal comes; then what streams or waits ends, and what is being answered is answered."""
    server = _Server(
        uvicorn.Config(
            served,
            http=Protocol,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # whom to believe is our own setting
            ws="none",
            lifespan="on",
            timeout_keep_alive=30,
            timeout_graceful_shutdown=GRACE_S,
        )
    )

    def end() -> None:
        stop(app)
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)
    await server.serve(sockets=[listening])


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are handled above: uvicorn would raise them again at the end, and the exit code would not be 0."""
        yield


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        socket.getaddrinfo(settings.host or None, settings.port, family, socket.SOCK_STREAM)
        return socket.create_server((settings.host, settings.port), family=family, backlog=2_048)
    except (socket.gaierror, UnicodeError) as error:
        words = getattr(error, "strerror", None) or error
        raise Refused(
            f"The setting host should be an address or a name of this machine, and it is {settings.host!r}: {words}."
        ) from error
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise Refused(f"The API cannot listen at {where}: {os.strerror(error.errno or 0)}.") from error


def _networks(proxies: Sequence[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(proxy) for proxy in proxies)
    except ValueError as error:
        raise Refused(f"The setting trusted_proxies should hold addresses or networks: {error}.") from error


def _folder(path: str) -> Path | None:
    return Path(path) if path else None
