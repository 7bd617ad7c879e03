"""An account: somebody signed up, and is welcomed by email."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, assert_never

import msgspec
from msgspec.structs import replace

from domain.record import Personal, Record

# Both go into a mail's header, so no line break of any sort; and a plain $ would let one pass at the end.
EMAIL = r"^[^@\s\x00-\x1f\x7f-\x9f]{1,64}@[^@\s\x00-\x1f\x7f-\x9f]{1,255}(?!\n)$"
NAME = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*(?!\n)$"
Email = Annotated[str, msgspec.Meta(pattern=EMAIL, max_length=254)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=NAME)]


class Registered(Record, frozen=True):
    email: Personal[Email]
    name: Personal[Name]


Event = Registered


class Account(Record, frozen=True):
    """An account as its stream tells it; `version` 0 means that there is none."""

    version: int = 0
    email: str = ""
    name: str = ""
    created_at: datetime | None = None


def evolve(account: Account, event: Event, at: datetime) -> Account:
    match event:
        case Registered(email=email, name=name):
            return replace(account, version=account.version + 1, email=email, name=name, created_at=at)
        case _:
            assert_never(event)


def fold(events: Iterable[tuple[Event, datetime]]) -> Account:
    account = Account()
    for event, at in events:
        account = evolve(account, event, at)
    return account


def register(account: Account, email: str, name: str) -> list[Event]:
    return [Registered(email=email, name=name)] if account.version == 0 else []
