"""The orders of a period, page by page, as the log tells of them up to a position."""

from collections.abc import AsyncIterator
from datetime import datetime
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

from adapters.postgres import codec
from adapters.postgres.database import Database
from adapters.postgres.queries import id_at
from domain import order
from domain.order import Order

PAGE = 500
FIRST = UUID(int=0)


class MadeOrder(NamedTuple):
    first: UUID  # the id of its first fact
    id: UUID
    order: Order


async def orders(
    database: Database, begin: datetime, end: datetime, owner: str | None, after: UUID | None, position: int
) -> AsyncIterator[MadeOrder]:
    """Those that were made from `begin` to before `end`, as they were at its end, behind the one whose first fact is
    `after`, oldest first."""
    last = after or FIRST
    while rows := await database.fetch("read_orders", id_at(begin), id_at(end), last, owner, PAGE, position):
        recorded = [codec.recorded(row) for row in rows]
        for stream, facts in groupby(recorded, key=lambda one: one.fact.stream):
            whole = [one.fact for one in facts]
            last = whole[0].id
            then = [(fact.event, fact.at) for fact in whole if isinstance(fact.event, order.Event) and fact.at < end]
            yield MadeOrder(last, UUID(stream.removeprefix("order-")), order.fold(then))
