"""What `postcommit consumers` does. Fact and row in one transaction, then the user in NATS.

With a home the user is made in its embedded server, and waited for. Elsewhere the lines for the server's configuration
are told, with a password that is kept nowhere."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from adapters.nats.names import STREAM, addresses
from adapters.nats.names import consumer as durable
from adapters.postgres import consumers
from adapters.postgres.database import Database
from adapters.postgres.ledger import head
from adapters.postgres.log import PostgresLog
from domain import compose, consumer
from domain.consumer import Consumer, Event
from domain.log import Conflict, Entry, Meta, stream_of
from infra import accounts, asking
from infra.actor import actor
from infra.app import QUEUES
from infra.clock import Clock
from infra.embedded import nats, passwords
from infra.embedded.home import Home, opened
from infra.embedded.reload import let_in, reload
from infra.exits import Conflicting, Misused, NotFound
from infra.migrate import require
from infra.settings import load

TRIES, PORT = 5, 4222  # which NATS has where an address names none


@dataclass(frozen=True, slots=True)
class Place:
    """Where consumers are registered: in an embedded installation, or by the settings."""

    postgres: str
    server: str  # an address of NATS, for any user
    home: Home | None


def place_of(path: Path | None) -> Place:
    if path is None:
        settings = load()
        return Place(settings.postgres, addresses(settings.nats)[0], None)
    home = opened(path)
    return Place(home.dsn("postcommit"), f"nats://127.0.0.1:{home.ports['nats']}", home)


async def added(place: Place, name: str, filter: str) -> tuple[dict[str, Any], str | None]:
    """Make the consumer; twice is once. Answers with how it connects, and with what is still missing, in a sentence.

    Raises Misused or Conflicting, with nothing stored, or Away."""
    for what, given, flaw in (
        ("name", name, consumer.flaw_of_name(name)),
        ("filter", filter, consumer.flaw_of_filter(filter)),
    ):
        if flaw:
            raise Misused(f"The {what} of a consumer cannot be {given!r}: {flaw}.")

    def decide(found: Consumer) -> list[Event]:
        if found.filter not in (None, filter):
            raise Conflicting(
                f"The consumer {name} has the filter {found.filter}, not {filter}: "
                "remove it first, or take another name."
            )
        return consumer.add(found, name, filter)

    await _decide(place, name, decide)
    if place.home is None:
        return _own_server(_told(place, name, filter, secret := passwords.password()), secret), None
    with passwords.changing(place.home) as kept:
        secret = kept.setdefault(name, passwords.password())
    nats.write_accounts(place.home, QUEUES)
    return _told(place, name, filter, secret), await let_in(place.home, name, secret)


async def removed(place: Place, name: str) -> str:
    """Take the consumer's rights and its durable; twice is once. Answers with what is left to do, as a sentence.

    Raises NotFound where there never was such a consumer."""

    def decide(found: Consumer) -> list[Event]:
        if found.version == 0:
            raise NotFound(f"There is no consumer {name!r}.")
        return consumer.remove(found, name)

    if flaw := consumer.flaw_of_name(name):
        raise NotFound(f"There is no consumer {name!r}: {flaw}.")
    await _decide(place, name, decide)
    if place.home is None:
        return f"Take CONSUMER_{name} and its exports out of the configuration of every NATS server, and reload it."
    with passwords.changing(place.home) as kept:
        kept.pop(name, None)
    nats.write_accounts(place.home, QUEUES)
    reload(place.home)
    return f"The consumer {name} is removed."


async def listed(place: Place) -> tuple[list[dict[str, Any]], int]:
    """The consumers, and where the log ends."""
    async with _database(place) as database:
        return [_item(one) for one in await consumers.live(database)], await head(database)


@asynccontextmanager
async def _database(place: Place) -> AsyncIterator[Database]:
    database = Database(place.postgres, 1, "postcommit consumers")
    try:
        with asking.postgres(place.postgres):
            await require(database)
            yield database
    finally:
        await database.close()


async def _decide(place: Place, name: str, decide: Callable[[Consumer], list[Event]]) -> None:
    """Read the consumer's stream, decide, and write what follows."""
    id, clock = consumer.id_of(name), Clock()
    async with _database(place) as database:
        for left in reversed(range(TRIES)):
            recorded = await PostgresLog(database).read(stream_of("consumer", id))
            found = consumer.fold(
                (one.fact.event, one.fact.at) for one in recorded if isinstance(one.fact.event, Event)
            )
            if not (events := decide(found)):
                return
            facts = compose.of_thing(id, found.version, events, _meta(clock), clock.now(), clock.new_id)
            try:
                await consumers.write(database, Entry(facts))
                return
            except Conflict as error:  # somebody was faster: what he wrote decides
                if left == 0:
                    raise Conflicting(f"Others change the consumer {name} all the time: nothing was done.") from error


def _meta(clock: Clock) -> Meta:
    return Meta(actor=actor(), correlation_id=str(clock.new_id()))


def _told(place: Place, name: str, filter: str, password: str) -> dict[str, Any]:
    return {
        "name": name,
        "filter": filter,
        "stream": STREAM,
        "durable": durable(name),
        "url": _with(place.server, durable(name), password),
        "inbox_prefix": f"_INBOX_{name}",
    }


def _with(address: str, user: str, password: str) -> str:
    """The same server, for this user."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{user}:{password}@{host if parts.port else f'{host}:{PORT}'}"


def _own_server(told: dict[str, Any], password: str) -> dict[str, Any]:
    """What the operator of a server of one's own has to add to its configuration."""
    name = told["name"]
    lines = {"accounts": accounts.account(name, f'"{password}"'), "exports": "\n".join(accounts.exports(name))}
    return told | lines | {"denied": accounts.denied(name)}


def _item(one: consumers.Registered) -> dict[str, Any]:
    return {
        "name": one.name,
        "filter": one.filter,
        "position": one.position,
        "durable": durable(one.name),
        "created_at": one.created_at.isoformat().replace("+00:00", "Z"),
    }
