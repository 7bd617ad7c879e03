"""The stories as workers read and write them: an account or an order out of its stream, and a sale into it."""

from dataclasses import dataclass
from uuid import UUID

from domain import account, compose, image, order
from domain.account import Account
from domain.image import Image
from domain.log import Conflict, Entry, Log, Meta, stream_of
from domain.order import Order
from infra.clock import Clock

TRIES = 5


@dataclass(frozen=True, slots=True)
class Stories:
    log: Log
    clock: Clock

    async def account(self, id: UUID) -> Account:
        """An unknown account has version 0."""
        recorded = await self.log.read(stream_of("account", id))
        return account.fold((r.fact.event, r.fact.at) for r in recorded if isinstance(r.fact.event, account.Event))

    async def order(self, id: UUID) -> Order:
        """An unknown order has version 0."""
        recorded = await self.log.read(stream_of("order", id))
        return order.fold((r.fact.event, r.fact.at) for r in recorded if isinstance(r.fact.event, order.Event))

    async def image(self, id: UUID) -> Image:
        """An unknown image has version 0."""
        recorded = await self.log.read(stream_of("image", id))
        return image.fold((r.fact.event, r.fact.at) for r in recorded if isinstance(r.fact.event, image.Event))

    async def record(self, id: UUID, meta: Meta) -> Order:
        """Record a confirmed order, once; answers with it as it is then. Raises Conflict where others write all the
        time."""
        for left in reversed(range(TRIES)):
            found = await self.order(id)
            events = order.record(found)
            if not events:
                return found
            try:
                facts = compose.of_thing(id, found.version, events, meta, self.clock.now(), self.clock.new_id)
                await self.log.append(Entry(facts))
            except Conflict:  # somebody was faster: what he wrote decides
                if left == 0:
                    raise
        return await self.order(id)
