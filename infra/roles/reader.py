"""The reader: folds the log into its tables. NATS only rings; what is read comes from Postgres, in order."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from domain.catalogue import UnknownEvent
from infra.clock import Clock

logger = structlog.get_logger()
POLL_S = 1.0
STANDS_STILL_S = 5.0
SOON_S = 0.1  # gathers the bells of a burst: a few larger steps cost less than many small ones


async def read(
    name: str,
    step: Callable[[], Awaitable[int]],
    bell: asyncio.Event,
    clock: Clock,
    transient: tuple[type[Exception], ...],
) -> None:
    """Apply facts as they are numbered, until cancelled. Without a bell it looks every second."""
    while True:
        try:
            while await step():
                pass
        except UnknownEvent as error:  # to skip it would be to lose it: this reader stands still until it is upgraded
            logger.error("reader.stands_still", reader=name, error=str(error))
            await clock.sleep(STANDS_STILL_S)
        except transient as error:
            logger.warning("reader.failed", reader=name, error=str(error))
            await clock.sleep(POLL_S)
        await wait(bell, clock)


async def wait(bell: asyncio.Event, clock: Clock) -> None:
    """Until the bell rings, at most for a second."""
    try:
        async with asyncio.timeout(POLL_S):
            await bell.wait()
    except TimeoutError:
        return
    await clock.sleep(SOON_S)
    bell.clear()
