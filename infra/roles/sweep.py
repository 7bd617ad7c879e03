"""The sweep: ends uploads to which no byte came for too long, and removes files that nothing holds any more.

It runs where the relay leads. What it does twice does no harm, and what it did not finish it finds again."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from adapters.postgres import files as catalogue
from adapters.postgres.database import Database
from adapters.postgres.ledger import settled
from domain import compose, upload
from domain.file import Files, Part, Uploads
from domain.log import Conflict, Entry, Log, Meta, stream_of
from infra.clock import Clock
from infra.store import Store

logger = structlog.get_logger()
ACTOR = "sweep"
MOST = 100  # files of one claim
EVERY_S = 30.0


@dataclass(slots=True)
class Sweep:
    store: Store
    log: Log
    database: Database
    clock: Clock
    written: Callable[[], None]
    transient: tuple[type[Exception], ...]
    every_s: float = EVERY_S
    _head: int | None = field(default=None)  # of the ledger, when it swept last; None: old facts had no numbers

    @property
    def uploads(self) -> Uploads:
        return self.store.uploads

    @property
    def files(self) -> Files:
        return self.store.files

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await self._step(self.expire)
            await self._step(self.collect)
            await self.clock.sleep(self.every_s)

    async def _step(self, step: Callable[[], Awaitable[int]]) -> None:
        try:
            if done := await step():
                logger.info("sweep.done", step=step.__name__, number=done)
        except self.transient as error:
            logger.info("sweep.failed", step=step.__name__, error=str(error))
        except Exception as error:  # a store that is away does not stop the numbering beside it
            logger.error("sweep.failed", step=step.__name__, exc_info=error)

    async def expire(self) -> int:
        """End the uploads that lie still; answers how many."""
        ended = 0
        async for id, part in self.uploads.lying():
            if self.clock.now() >= part.touched_at + self.store.patience:
                now = await self.uploads.arrived(id)  # the list may have taken its time
                if now is not None and now.touched_at == part.touched_at:
                    ended += await self._expire(id, part)
        return ended

    async def _expire(self, id: UUID, part: Part) -> bool:
        recorded = await self.log.read(stream_of("upload", id))
        found = upload.fold((r.fact.event, r.fact.at) for r in recorded if isinstance(r.fact.event, upload.Event))
        now = self.clock.now()
        events = upload.expire(found, part.touched_at, now, self.store.patience)
        if events:
            facts = compose.of_thing(id, found.version, events, Meta(actor=ACTOR), now, self.clock.new_id)
            try:
                await self.log.append(Entry(facts))
            except Conflict:  # its last byte came in this moment
                return False
            self.written()
        await self.uploads.drop(id)
        return bool(events)

    async def collect(self) -> int:
        """Remove what nothing holds; answers how many files these were."""
        before, self._head = self._head, await settled(self.database, self.clock.now() - self.store.grace / 2)
        if before is None:
            return 0
        removed = 0
        while claimed := await catalogue.claim_unheld(self.database, self.store.grace, before, MOST):
            for sha256 in claimed:
                await self.files.remove(sha256)
            await catalogue.forget(self.database, claimed)
            removed += len(claimed)
        return removed
