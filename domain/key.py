"""A key of the REST API: issued, given another secret, revoked. The log never hears of the secret, nor of its hash."""

from collections.abc import Iterable
from typing import assert_never
from uuid import UUID

from msgspec.structs import replace

from domain.record import Record, derived_id, is_token

RESERVED = frozenset({"system"})  # stands in the audit for a part of the program


class Issued(Record, frozen=True):
    """Who holds its secret may use the API, as far as the scope goes."""

    name: str
    scope: str


class Rotated(Record, frozen=True):
    """It has another secret. The one before stays valid for a while; one before that does not."""

    grace_s: float = 0.0


class Revoked(Record, frozen=True):
    """None of its secrets is valid any more."""


Event = Issued | Rotated | Revoked


class Key(Record, frozen=True):
    """A key as its stream tells it; `version` 0 means that there is none."""

    version: int = 0
    name: str = ""
    scope: str = ""
    revoked: bool = False


def id_of(name: str) -> UUID:
    """The same name is the same key."""
    return derived_id(UUID(int=0), f"key {name}")


def may_be_called(name: str) -> bool:
    """Whether a key may have this name: it stands as `by` in tasks and as `actor` in the audit."""
    return is_token(name) and name not in RESERVED


def evolve(key: Key, event: Event) -> Key:
    key = replace(key, version=key.version + 1)
    match event:
        case Issued(name=name, scope=scope):
            return replace(key, name=name, scope=scope, revoked=False)
        case Rotated():
            return key
        case Revoked():
            return replace(key, revoked=True)
        case _:
            assert_never(event)


def fold(events: Iterable[Event]) -> Key:
    key = Key()
    for event in events:
        key = evolve(key, event)
    return key


def issue(key: Key, name: str, scope: str) -> list[Event]:
    """A name is given once: who has it later would see what the holder before him asked for."""
    return [Issued(name=name, scope=scope)] if key.version == 0 else []


def rotate(key: Key, grace_s: float) -> list[Event]:
    return [Rotated(grace_s=grace_s)] if key.version and not key.revoked else []


def revoke(key: Key) -> list[Event]:
    return [Revoked()] if key.version and not key.revoked else []
