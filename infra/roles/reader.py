"""The role `reader`: folds the log into its tables. NATS only rings; what is read comes from Postgres, in order."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeAlias
from uuid import UUID

import structlog

from adapters.nats.bells import Rope, ring_queue
from adapters.nats.broker import Link
from adapters.nats.names import HEAD_BELL, LOG_BELL
from adapters.postgres import readers
from adapters.postgres import release as releasing
from adapters.postgres.database import TRANSIENT, Database
from adapters.postgres.readers import FOLDS, READERS, RELEASE
from domain.catalogue import UnknownEvent
from domain.log import Recorded
from domain.release import Rows, release_waiting
from infra import metrics
from infra.clock import Clock
from infra.loops import together
from infra.roles.role import name_of, ready, require_nats, settled, until_stopped
from infra.settings import Settings

logger = structlog.get_logger()
POLL_S = 1.0
STANDS_STILL_S = 5.0
Step: TypeAlias = Callable[[], Awaitable[int]]
Releasing: TypeAlias = Callable[[releasing.Release], Awaitable[int]]
SOON_S, LATER_S = 0.1, 0.5  # gather the bells of a burst: a few larger steps cost less than many small ones


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises Refused or Away, each with one clear sentence."""
    lasting = Database(settings.postgres, 1, "postcommit release")  # it writes facts
    await ready(lasting)
    database = Database(settings.postgres, settings.pool, "postcommit reader", durable=False)
    link = Link(settings.nats, "reader", name_of("reader"))
    bells = {name: asyncio.Event() for name in READERS}

    def ring(_: bytes) -> None:
        for bell in bells.values():
            bell.set()

    link.on_bell(HEAD_BELL, ring)
    link.open()
    settled()
    try:
        clock = Clock()
        steps: dict[str, Step] = {name: partial(readers.step, database, name) for name in FOLDS}
        steps[RELEASE] = partial(release, partial(releasing.step, lasting), link, clock)
        latest = dict.fromkeys(FOLDS, LATER_S) | {RELEASE: SOON_S}  # tasks wait for a release
        loops = [read(name, step, bells[name], clock, TRANSIENT, latest[name]) for name, step in steps.items()]
        with metrics.served(settings):
            await until_stopped(together(require_nats(link), *loops))
    finally:
        await link.close()
        await database.close()
        await lasting.close()


async def release(step: Releasing, rope: Rope, clock: Clock) -> int:
    """Release the tasks that the next facts set free, and ring their workers; answers how many facts these were."""
    queued: dict[str, list[UUID]] = {}

    async def free(rows: Rows, recorded: Sequence[Recorded]) -> None:
        queued.update(await release_waiting(rows, recorded, clock.now(), clock.new_id))

    applied = await step(free)
    if queued:
        await rope.ring(LOG_BELL)
    for queue, ids in queued.items():
        await ring_queue(rope, queue, ids)
    return applied


async def read(
    name: str,
    step: Step,
    bell: asyncio.Event,
    clock: Clock,
    transient: tuple[type[Exception], ...],
    latest_s: float = LATER_S,
) -> None:
    """Apply facts as they are numbered, until cancelled: soon after a quiet second, and ever less often, but at the
    latest after `latest_s`, while bells go on ringing. Without a bell it looks every second."""
    pause = SOON_S
    while True:
        try:
            applied = readers.MOST
            while applied >= readers.MOST:  # less means that nothing was left: a bell tells of what came meanwhile
                applied = await step()
                metrics.APPLIED.labels(name).inc(applied)
        except UnknownEvent as error:  # to skip it would be to lose it: this reader stands still until it is upgraded
            logger.error("reader.stands_still", reader=name, error=str(error))
            await clock.sleep(STANDS_STILL_S)
        except transient as error:
            logger.warning("reader.failed", reader=name, error=str(error))
            await clock.sleep(POLL_S)
        except Exception as error:  # nor may a fact that this one cannot fold stop the others; /readyz tells of it
            logger.error("reader.stands_still", reader=name, exc_info=error)
            await clock.sleep(STANDS_STILL_S)
        pause = min(2 * pause, latest_s) if await rung(bell, clock, pause) else SOON_S


async def rung(bell: asyncio.Event, clock: Clock, gather_s: float) -> bool:
    """Whether the bell rings within a second; answers after all that rings so soon after it has come, too."""
    try:
        async with asyncio.timeout(POLL_S):
            await bell.wait()
    except TimeoutError:
        return False
    await clock.sleep(gather_s)
    bell.clear()
    return True
