"""A part of the relay: are the workers' durables there, and as they should be? Registered consumers have the keeper."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from adapters.nats.api import ApiError
from infra.clock import Clock
from infra.roles.outside import Ledger, Nats, Rows

logger = structlog.get_logger()
PROVISION_S = 2.0


@dataclass(slots=True)
class Durables:
    nats: Nats
    rows: Rows
    ledger: Ledger
    queues: Sequence[str]  # each has a durable
    clock: Clock
    away: tuple[type[Exception], ...]  # of NATS or of Postgres: it is tried again

    async def run(self) -> None:
        """Every few seconds, until cancelled."""
        while True:
            if self.nats.up:
                try:
                    await self._provide()
                except self.away as error:
                    logger.info("relay.provision_failed", error=str(error))
            await self.clock.sleep(PROVISION_S)

    async def renew(self) -> None:
        """The stream is new, or went back: make them all anew. That NATS refuses something must not stop the mirror,
        nor does it lose anything: what rings again is known to be done, and `run` makes what is missing."""
        try:
            await self._provide(anew=True)
        except ApiError as error:
            logger.warning("relay.renewal_refused", error=str(error))

    async def _provide(self, anew: bool = False) -> None:
        # Before the stream is asked: what it takes meanwhile is not yet compared. What went back is not, either.
        mirrored = 0 if anew else self.ledger.mirrored
        stream = self.nats.stream()
        state = await stream.state()
        if state is None:
            return
        if await stream.bring_up_to_date():
            logger.warning("relay.stream_settings_changed")
        for queue in self.queues:
            try:
                if await self.nats.ensure(queue, partial(self._start, queue, state.first), anew):
                    logger.info("relay.durable_made", queue=queue)
            except ApiError as error:  # the others need theirs all the same, and this one is tried again
                logger.warning("relay.durable_refused", queue=queue, error=str(error))
        await self.nats.keep(state.first, mirrored, await self.ledger.head())

    async def _start(self, queue: str, first: int) -> int:
        """Where a durable that is made anew begins: at the oldest task that still waits, or at what comes next."""
        head = await self.ledger.head()  # asked first: a task that is numbered after this lies behind it
        oldest = await self.rows.oldest_queued(queue)
        return max(first, head + 1 if oldest is None else oldest)
