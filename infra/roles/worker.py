"""The role `worker`: takes the tasks of its queues and runs them, until SIGTERM. Without NATS it polls."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeAlias

import structlog
from nats.errors import Error as NatsError

from adapters.nats.bells import ids_of
from adapters.nats.broker import Link
from adapters.nats.fetch import Fetcher, acknowledge
from adapters.nats.names import LOG_BELL, queue_bell
from adapters.postgres.database import TRANSIENT, UNSTORABLE, Database
from adapters.postgres.tasks import PostgresTasks
from domain.transcoding import QUEUE as MEDIA
from infra import metrics
from infra.app import QUEUES, workers
from infra.clock import moved
from infra.exits import Refused
from infra.loops import together
from infra.roles.crew import Crew
from infra.roles.role import name_of, ready, require_nats, settled, until_stopped
from infra.roles.runs import Runs
from infra.settings import Settings
from infra.telemetry import telemetry

logger = structlog.get_logger()
CLAIMS = 2  # at once
Beating: TypeAlias = "Sequence[asyncio.Task[None]]"
Fetch: TypeAlias = Callable[[str, Crew], Coroutine[Any, Any, None]]


async def serve(settings: Settings, queues: Sequence[str] = ()) -> None:
    """Run until SIGTERM or SIGINT. Raises Refused or Away, each with one clear sentence."""
    chosen = list(queues or settings.queues or QUEUES)
    if unknown := sorted(set(chosen) - set(QUEUES)):
        raise Refused(f"There is no queue {', '.join(unknown)}; there are {', '.join(QUEUES)}.")
    of_media = [queue for queue in chosen if queue == MEDIA]
    others = [queue for queue in chosen if queue != MEDIA]
    slots = settings.media_slots or os.cpu_count() or 1
    database = Database(settings.postgres, settings.pool, "postcommit worker")
    beats = Database(settings.postgres, 1, "postcommit worker heartbeat", durable=False)
    await ready(database)
    name = name_of("worker")
    link = Link(settings.nats, "worker", name)
    traces = telemetry(settings, name)
    known = workers(settings, database)

    def crew_of(queues: Sequence[str], slots: int, grace_s: float) -> Crew:
        runs = Runs(
            name,
            PostgresTasks(database),
            PostgresTasks(beats),
            {kind: one for kind, one in known.items() if one.kind.queue in queues},
            moved(settings.clock_offset_s),
            TRANSIENT,
            UNSTORABLE,
            lease_s=settings.lease_s,
            heartbeat_s=settings.heartbeat_s,
            grace_s=grace_s,
            written=lambda: link.ring_soon(LOG_BELL),
            telemetry=traces,
        )
        crew = Crew(runs, queues, lambda bells: acknowledge(link.client, bells), slots, settings.unheard_s)
        for queue in queues:
            link.on_bell(queue_bell(queue), lambda payload: crew.overhear(ids_of(payload)))
        return crew

    crews = [crew_of(others, settings.slots, settings.grace_s)] if others else []
    crews += [crew_of(of_media, slots, 0.0)] if of_media else []  # long work is given back at once
    link.open()
    settled()
    beating = beats_of(crews)
    try:
        metrics.SLOTS.set(sum(crew.slots for crew in crews))
        metrics.HELD.set_function(lambda: sum(len(crew.runs.held) for crew in crews))
        with metrics.served(settings):
            await until_stopped(together(work(crews, beating, partial(_fetch, link)), require_nats(link)))
    finally:
        await leave(crews, beating)
        await link.close()
        await beats.close()
        await database.close()
        traces.end()


def beats_of(crews: Sequence[Crew]) -> Beating:
    """The heartbeats outlive the other loops, so that what still runs at the end keeps its lease."""
    return [asyncio.create_task(crew.runs.beat_loop()) for crew in crews]


async def work(crews: Sequence[Crew], beating: Beating, fetch: Fetch) -> None:
    """Hear, claim and poll until cancelled; the end of a heartbeat would end all."""
    await together(
        *(crew.claim_loop() for crew in crews for _ in range(CLAIMS)),
        *(crew.poll_loop() for crew in crews),
        *map(_watch, beating),
        *(fetch(queue, crew) for crew in crews for queue in crew.queues),
    )


async def leave(crews: Sequence[Crew], beating: Beating) -> None:
    """No new claims; what runs gets its grace, the rest is given back."""
    await asyncio.gather(*(crew.stop() for crew in crews))
    for beat in beating:
        beat.cancel()


async def _watch(beating: asyncio.Task[None]) -> None:
    await asyncio.shield(beating)


async def _fetch(link: Link, queue: str, crew: Crew) -> None:
    """Bells of the queue's durable, as long as the worker lives."""
    await link.wait()
    fetcher = Fetcher(link.client, queue, "_INBOX_worker.fetch")
    while True:
        try:
            await fetcher.run(crew.wanted, crew.hear)
        except NatsError as error:  # meanwhile the worker polls
            logger.info("worker.fetch_failed", queue=queue, error=str(error) or type(error).__name__)
        await asyncio.sleep(1)
