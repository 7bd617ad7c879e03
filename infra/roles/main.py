"""The roles as programs: each opens what it needs, runs until SIGTERM, and closes it."""

import asyncio
import json
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

import asyncpg
from nats.errors import Error as NatsError

from adapters.nats.broker import Link, on_bell
from adapters.nats.fetch import Fetcher
from adapters.nats.names import HEAD_BELL, LOG_BELL, queue_bell
from adapters.postgres import readers
from adapters.postgres.database import TRANSIENT, Database
from adapters.postgres.kinds import register
from adapters.postgres.log import PostgresLog
from adapters.postgres.tasks import PostgresTasks
from infra.app import KINDS, QUEUES, READERS, workers
from infra.clock import Clock
from infra.roles.reader import read
from infra.roles.relay import Relay
from infra.roles.run import Refused, ready, together, until_stopped
from infra.roles.worker import Crew
from infra.settings import Settings

OLDEST_NATS = (2, 14)
UNSTORABLE = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, ValueError, TypeError, OverflowError)


async def relay(settings: Settings) -> None:
    database = Database(settings.postgres, settings.pool, "postcommit relay")
    await ready(database)
    await register(database, list(KINDS.values()))
    link = Link(settings.nats, "relay", _name("relay"))
    cursor = Database(settings.postgres, 1, "postcommit relay cursor", durable=False)
    role = Relay(settings, database, cursor, link, Clock())
    on_bell(link, LOG_BELL, lambda _: role.written.set())
    link.open()
    try:
        await until_stopped(together(role.run(), require_nats(link)))
    finally:
        await link.close()
        await cursor.close()
        await database.close()


async def worker(settings: Settings, queues: Sequence[str] = ()) -> None:
    database = Database(settings.postgres, settings.pool, "postcommit worker")
    beats = Database(settings.postgres, 1, "postcommit worker heartbeat", durable=False)
    await ready(database)
    log = PostgresLog(database)
    name = _name("worker")
    link = Link(settings.nats, "worker", name)
    chosen = list(queues or settings.queues or QUEUES)
    if unknown := sorted(set(chosen) - set(QUEUES)):
        raise Refused(f"There is no queue {', '.join(unknown)}; there are {', '.join(QUEUES)}.")
    crew = Crew(
        name,
        PostgresTasks(database),
        PostgresTasks(beats),
        {kind: one for kind, one in workers(settings, log).items() if one.kind.queue in chosen},
        chosen,
        Clock(),
        TRANSIENT,
        UNSTORABLE,
        slots=settings.slots,
        lease_s=settings.lease_s,
        heartbeat_s=settings.heartbeat_s,
        unheard_s=settings.unheard_s,
        grace_s=settings.grace_s,
        written=lambda: _ring_soon(link),
    )
    for queue in chosen:
        on_bell(link, queue_bell(queue), lambda payload: crew.overhear(_ids(payload)))
    link.open()
    beating = asyncio.create_task(crew.beat_loop())
    try:
        await until_stopped(
            together(crew.claim_loop(), crew.poll_loop(), *(_fetch(link, queue, crew) for queue in chosen))
        )
    finally:
        await crew.stop()
        beating.cancel()
        await link.close()
        await beats.close()
        await database.close()


async def reader(settings: Settings) -> None:
    database = Database(settings.postgres, settings.pool, "postcommit reader", durable=False)
    await ready(database)
    link = Link(settings.nats, "reader", _name("reader"))
    bells = {name: asyncio.Event() for name in READERS}

    def ring(_: bytes) -> None:
        for bell in bells.values():
            bell.set()

    def step(name: str) -> "asyncio.Future[int]":
        return asyncio.ensure_future(readers.step(database, name))

    on_bell(link, HEAD_BELL, ring)
    link.open()
    try:
        loops = [read(name, lambda name=name: step(name), bells[name], Clock(), TRANSIENT) for name in READERS]  # type: ignore[misc]
        await until_stopped(together(*loops))
    finally:
        await link.close()
        await database.close()


async def require_nats(link: Link) -> None:
    """Ends the role where the server is too old: it would ignore what it does not know, and say nothing."""
    await link.wait()
    version = link.client.connected_server_version
    if (version.major, version.minor) < OLDEST_NATS:
        found = f"{version.major}.{version.minor}.{version.patch}"
        raise Refused(f"NATS has version {found}, and postcommit needs 2.14 or newer.")


async def _fetch(link: Link, queue: str, crew: Crew) -> None:
    await link.wait()
    fetcher = Fetcher(link.client, queue, "_INBOX_worker.fetch")
    while True:
        with suppress(NatsError):
            await fetcher.run(crew.wanted, crew.hear)
        await asyncio.sleep(1)


def _ring_soon(link: Link) -> None:
    ringing = asyncio.ensure_future(link.ring(LOG_BELL))
    _RINGING.add(ringing)
    ringing.add_done_callback(_RINGING.discard)


def _ids(payload: bytes) -> list[UUID]:
    try:
        return [UUID(id) for id in json.loads(payload)]
    except (ValueError, TypeError, AttributeError):
        return []  # a bell that names nothing


def _name(role: str) -> str:
    return f"{role}-{socket.gethostname().partition('.')[0]}-{os.getpid()}"[:64]


_RINGING: set["asyncio.Future[None]"] = set()
