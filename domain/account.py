"""An account: somebody signed up, and is welcomed by email."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, assert_never

import msgspec
from msgspec.structs import replace

from domain.record import Personal, Record

# RFC 5321 (4.1.2, 4.5.3.1) without quoted local parts and address literals. Both go into a mail's header: neither holds
# `=?`, which begins an encoded word (RFC 2047), nor a line break; a plain $ would let one pass at the end.
ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
EMAIL = rf"^(?=[^@]{{1,64}}@)(?!.*=\?){ATOM}(?:\.{ATOM})*@{LABEL}(?:\.{LABEL})*(?!\n)$"
NAME = r"^(?=.*\S)(?!.*=\?)[^\x00-\x1f\x7f-\x9f\u2028\u2029]*(?!\n)$"
Email = Annotated[
    str,
    msgspec.Meta(pattern=EMAIL, max_length=254, description="an e-mail address in ASCII, such as ann@example.com"),
]
Name = Annotated[
    str,
    msgspec.Meta(
        pattern=NAME,
        max_length=200,
        description="1 to 200 characters, not only spaces, without line breaks, control characters and `=?`",
    ),
]


class SignUp(Record, frozen=True):
    """What somebody gives. Rules may grow stricter here: what was registered before is read all the same."""

    email: Email
    name: Name


class Registered(Record, frozen=True):
    """Somebody has an account."""

    email: Personal[str]
    name: Personal[str]


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
