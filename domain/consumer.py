"""A consumer of events: somebody outside who may read what one filter lets through, and nothing else."""

from collections.abc import Iterable
from datetime import datetime
from typing import assert_never
from uuid import UUID, uuid5

from msgspec.structs import replace

from domain.record import Record, is_token

NAMESPACE = UUID("5c1f4b6e-0b0e-5d0e-9f57-8f0a3a1b7d11")
LONGEST = {"events": 5, "tasks": 6}  # tokens of a subject: domain/subjects.py
GOOD = "events.v1.order.> and tasks.v1.*.*.completed.*"


class Added(Record, frozen=True):
    """A program may read what the filter lets through."""

    name: str
    filter: str  # a subject of NATS, with wildcards


class Removed(Record, frozen=True):
    """It may read nothing any more, and its durable is gone."""

    name: str


Event = Added | Removed


class Consumer(Record, frozen=True):
    """A consumer as its stream tells it; `filter` is None where there is none, or no longer."""

    version: int = 0
    filter: str | None = None


def id_of(name: str) -> UUID:
    """The id follows from the name, so that one name is one stream, whoever adds it."""
    return uuid5(NAMESPACE, name)


def evolve(consumer: Consumer, event: Event) -> Consumer:
    consumer = replace(consumer, version=consumer.version + 1)
    match event:
        case Added(filter=filter):
            return replace(consumer, filter=filter)
        case Removed():
            return replace(consumer, filter=None)
        case _:
            assert_never(event)


def fold(events: Iterable[tuple[Event, datetime]]) -> Consumer:
    consumer = Consumer()
    for event, _ in events:
        consumer = evolve(consumer, event)
    return consumer


def add(consumer: Consumer, name: str, filter: str) -> list[Event]:
    """One that is there keeps its filter: it is removed before it gets another."""
    return [Added(name=name, filter=filter)] if consumer.filter is None else []


def remove(consumer: Consumer, name: str) -> list[Event]:
    return [Removed(name=name)] if consumer.filter is not None else []


def flaw_of_name(name: str) -> str | None:
    """Why this cannot be a consumer's name, as the end of a sentence."""
    return None if is_token(name) else "a name is 1 to 64 of A-Z a-z 0-9 _ -"


def flaw_of_filter(filter: str) -> str | None:
    """Why no subject of the log can match this, as the end of a sentence."""
    first, *rest = filter.split(".")
    if first not in LONGEST or rest[:1] != ["v1"]:
        return f"it should begin with events.v1. or tasks.v1.; good ones are {GOOD}"
    tokens = rest[1:]
    if not tokens:
        return f"something should follow {filter}; good ones are {GOOD}"
    open_end = tokens[-1] == ">"
    for token in tokens[:-1] if open_end else tokens:
        if token != "*" and not is_token(token):
            return f"{token!r} cannot be a part of it; good ones are {GOOD}"
    longest, length = LONGEST[first], len(rest) + 1
    if length > longest or (length < longest and not open_end):
        return f"subjects of {first}.v1 have {longest} parts, and it has {length}; good ones are {GOOD}"
    return None


def pattern(filter: str) -> str:
    """The subjects that the filter lets through, as a regular expression (of Python and of Postgres alike)."""
    parts = {"*": r"[^.]+", ">": r".+"}
    return "^" + r"\.".join(parts.get(token, token) for token in filter.split(".")) + "$"
