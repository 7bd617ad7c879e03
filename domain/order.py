"""An order: lines of items for an account. Confirming it sets three tasks off, strictly one after the other."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, assert_never
from uuid import UUID

import msgspec
from msgspec.structs import replace

from domain.item import Item
from domain.record import Record

MOST_LINES = 100
Quantity = Annotated[int, msgspec.Meta(ge=1, le=10_000, description="a whole number from 1 to 10,000")]


class WantedLine(Record, frozen=True):
    item: UUID
    quantity: Quantity


Address = Annotated[str, msgspec.Meta(max_length=2_000, extra_json_schema={"format": "uri"})]


class Wanted(Record, frozen=True):
    """What a caller orders. `notify` is where the warehouse hears of it; without it the setting says where."""

    account: UUID
    lines: Annotated[list[WantedLine], msgspec.Meta(min_length=1, max_length=MOST_LINES)]
    notify: Address | None = None


class Line(Record, frozen=True):
    """One line, at the price of the moment when it was ordered."""

    item: UUID
    name: str
    quantity: int
    price_cents: int  # of one


class Created(Record, frozen=True):
    """A draft: its lines are at the prices of this moment."""

    account: UUID
    lines: tuple[Line, ...]
    total_cents: int
    currency: str
    notify: str | None = None


class Confirmed(Record, frozen=True):
    """It is sold: mail, notice to the warehouse and analytics follow, one after the other."""


class Recorded(Record, frozen=True):
    """The sale counts, from now on, in the analytics."""

    total_cents: int
    currency: str


Event = Created | Confirmed | Recorded


class Order(Record, frozen=True):
    """An order as its stream tells it; `version` 0 means that there is none."""

    version: int = 0
    account: UUID | None = None
    lines: tuple[Line, ...] = ()
    total_cents: int = 0
    currency: str = ""
    notify: str | None = None
    created_at: datetime | None = None
    confirmed_at: datetime | None = None
    recorded_at: datetime | None = None


class Unsellable(Exception):
    """A line that cannot be ordered: `line` is its number, from 0."""

    def __init__(self, line: int, detail: str) -> None:
        super().__init__(detail)
        self.line, self.detail = line, detail


def evolve(order: Order, event: Event, at: datetime) -> Order:
    order = replace(order, version=order.version + 1)
    match event:
        case Created(account=account, lines=lines, total_cents=total_cents, currency=currency, notify=notify):
            return replace(
                order,
                account=account,
                lines=lines,
                total_cents=total_cents,
                currency=currency,
                notify=notify,
                created_at=at,
            )
        case Confirmed():
            return replace(order, confirmed_at=at)
        case Recorded():
            return replace(order, recorded_at=at)
        case _:
            assert_never(event)


def fold(events: Iterable[tuple[Event, datetime]]) -> Order:
    order = Order()
    for event, at in events:
        order = evolve(order, event, at)
    return order


def create(order: Order, wanted: Wanted, items: Mapping[UUID, Item]) -> list[Event]:
    """Order what is on sale, at today's prices. Raises Unsellable for the first line that is not."""
    if order.version > 0:
        return []
    lines = [_line(number, line, items.get(line.item)) for number, line in enumerate(wanted.lines)]
    return [
        Created(
            account=wanted.account,
            lines=tuple(lines),
            total_cents=sum(line.quantity * line.price_cents for line in lines),
            currency=_currency(wanted.lines, items),
            notify=wanted.notify,
        )
    ]


def _line(number: int, wanted: WantedLine, item: Item | None) -> Line:
    if item is None or item.details is None:
        raise Unsellable(number, f"There is no item {wanted.item}")
    if item.deleted_at is not None:
        raise Unsellable(number, f"The item {wanted.item} was deleted")
    details = item.details
    return Line(item=wanted.item, name=details.name, quantity=wanted.quantity, price_cents=details.price_cents)


def _currency(lines: Sequence[WantedLine], items: Mapping[UUID, Item]) -> str:
    first = ""
    for number, line in enumerate(lines):
        details = items[line.item].details
        assert details is not None, "A line without its item was refused before."
        first = first or details.currency
        if details.currency != first:
            raise Unsellable(number, f"Its price is in {details.currency}, and the first line's in {first}")
    return first


def confirm(order: Order) -> list[Event]:
    return [Confirmed()] if order.version > 0 and order.confirmed_at is None else []


def record(order: Order) -> list[Event]:
    """Count a confirmed order in the analytics, once."""
    if order.confirmed_at is None or order.recorded_at is not None:
        return []
    return [Recorded(total_cents=order.total_cents, currency=order.currency)]
