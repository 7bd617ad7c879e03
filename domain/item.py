"""An item of the catalogue: it has a price, may change, and is deleted once."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, assert_never

import msgspec
from msgspec.structs import replace

from domain.record import Record

LINE = r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f\u2028\u2029]*(?!\n)$"  # not only spaces, and no control character
Name = Annotated[
    str, msgspec.Meta(pattern=LINE, max_length=200, description="1 to 200 characters, not only spaces, on one line")
]
Text = Annotated[
    str,
    msgspec.Meta(pattern=r"^[^\x00]*$", max_length=4_000, description="at most 4,000 characters without NUL"),
]
Cents = Annotated[int, msgspec.Meta(ge=0, le=10**9, description="a whole number of cents, from 0 to 1,000,000,000")]
Currency = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Z]{3}(?!\n)$", description="three capital letters as in ISO 4217, such as EUR")
]


class Details(Record, frozen=True):
    """What there is to say of an item. Rules may grow stricter: what was written before is read all the same."""

    name: str
    description: str
    price_cents: int
    currency: str


class Given(Record, frozen=True):
    """What a caller says of a new item."""

    name: Name
    price_cents: Cents
    currency: Currency
    description: Text = ""


class Patch(Record, frozen=True):
    """What a caller changes; what is left out stays."""

    name: Name | msgspec.UnsetType = msgspec.UNSET
    price_cents: Cents | msgspec.UnsetType = msgspec.UNSET
    currency: Currency | msgspec.UnsetType = msgspec.UNSET
    description: Text | msgspec.UnsetType = msgspec.UNSET


class Created(Record, frozen=True):
    """It can be ordered."""

    details: Details


class Changed(Record, frozen=True):
    """It is another: `before` and `after` are whole."""

    before: Details
    after: Details


class Deleted(Record, frozen=True):
    """It cannot be ordered any more, for good."""

    before: Details


Event = Created | Changed | Deleted


class Item(Record, frozen=True):
    """An item as its stream tells it; `version` 0 means that there is none."""

    version: int = 0
    details: Details | None = None
    created_at: datetime | None = None
    changed_at: datetime | None = None
    deleted_at: datetime | None = None


def evolve(item: Item, event: Event, at: datetime) -> Item:
    item = replace(item, version=item.version + 1, changed_at=at)
    match event:
        case Created(details=details):
            return replace(item, details=details, created_at=at)
        case Changed(after=after):
            return replace(item, details=after)
        case Deleted():
            return replace(item, deleted_at=at)
        case _:
            assert_never(event)


def fold(events: Iterable[tuple[Event, datetime]]) -> Item:
    item = Item()
    for event, at in events:
        item = evolve(item, event, at)
    return item


def create(item: Item, given: Given) -> list[Event]:
    if item.version > 0:
        return []
    return [Created(details=Details(**msgspec.structs.asdict(given)))]


def change(item: Item, patch: Patch) -> list[Event]:
    """What says nothing new changes nothing."""
    if item.details is None or item.deleted_at is not None:
        return []
    said = {name: value for name, value in msgspec.structs.asdict(patch).items() if value is not msgspec.UNSET}
    after = replace(item.details, **said)
    return [Changed(before=item.details, after=after)] if after != item.details else []


def delete(item: Item) -> list[Event]:
    if item.details is None or item.deleted_at is not None:
        return []
    return [Deleted(before=item.details)]
