"""A part of the relay: keeps a durable for each registered consumer, and tells in Postgres how far it has come.

A stream that is made anew has no durables: each is made again behind the position that its consumer had reached. What
it had acknowledged after it was last looked at comes again; nothing is left out. The same is done with a durable that
went back (adapters.nats.consumers tells why one may)."""

from dataclasses import dataclass, field
from datetime import datetime

import structlog
from nats.aio.client import Client

from adapters.nats import registered
from adapters.nats.api import ApiError
from adapters.postgres import consumers
from adapters.postgres.consumers import Registered
from adapters.postgres.database import TRANSIENT, Database

logger = structlog.get_logger()


@dataclass(slots=True)
class Keeper:
    database: Database
    _dropped: set[tuple[str, datetime]] = field(default_factory=set)

    async def keep(self, client: Client, first: int, mirrored: int, head: int) -> None:
        """Bring every durable to where it should be, and remember how far it has come.

        `first` is where the stream begins. Up to `mirrored` it is known to hold what the ledger holds: what was
        acknowledged beyond that may have been somebody else's, and is not believed. `head` is the ledger's."""
        for one in await consumers.everyone(self.database):
            try:
                await self._keep(client, one, first, mirrored, head)
            except ApiError as error:  # that NATS refuses one must not stop the others
                logger.warning("relay.consumer_refused", consumer=one.name, error=str(error))

    async def _keep(self, client: Client, one: Registered, first: int, mirrored: int, head: int) -> None:
        if one.removed_at is not None:
            await self._drop(client, one.name, one.removed_at)
            return
        found = await registered.find(client, one.name)
        if found is None or found.filter != one.filter or found.delivered < min(one.position, head):
            await self._make(client, one, first, head)
        elif (position := min(found.reached, mirrored)) > one.position:
            await consumers.reached(self.database, one.name, one.created_at, position)

    async def _make(self, client: Client, one: Registered, first: int, head: int) -> None:
        start = min(one.position, head) + 1
        await registered.make(client, one.name, one.filter, max(start, first))
        logger.info("relay.consumer_made", consumer=one.name, start=max(start, first))
        if start < first:
            await self._tell_gap(one, start, first)

    async def _tell_gap(self, one: Registered, start: int, first: int) -> None:
        """The stream cannot tell all that the consumer has not seen; it is to ask the log for the rest."""
        try:
            missed: int | None = await consumers.missed(self.database, one.filter, start - 1, first)
        except TRANSIENT as error:  # it may be much to read: then the number is not known
            logger.info("relay.not_counted", error=str(error))
            missed = None
        if missed != 0:
            logger.warning("relay.consumer_misses", consumer=one.name, needed=start, first=first, missed=missed)

    async def _drop(self, client: Client, name: str, removed_at: datetime) -> None:
        if (name, removed_at) not in self._dropped:
            await registered.drop(client, name)
            self._dropped.add((name, removed_at))
            logger.info("relay.consumer_dropped", consumer=name)
