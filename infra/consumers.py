"""`postcommit consumers`: who may read the stream from outside. Facts and row in one transaction, then the user in NATS.

With --home the user is made in the embedded server, and the command waits until it is let in. Elsewhere the lines for the
server's configuration are printed, with a password that is kept nowhere."""

import getpass
import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from adapters.nats.names import STREAM
from adapters.nats.names import consumer as durable
from adapters.postgres import consumers
from adapters.postgres.consumers import Registered
from adapters.postgres.database import Database
from adapters.postgres.ledger import head
from adapters.postgres.log import PostgresLog
from domain import compose, consumer
from domain.consumer import Consumer, Event
from domain.log import Conflict, Entry, Meta, stream_of
from infra import asking
from infra.app import QUEUES
from infra.clock import Clock
from infra.embedded import consumers as passwords
from infra.embedded import nats
from infra.embedded.home import Home, opened
from infra.embedded.reload import let_in, reload
from infra.exits import Refused
from infra.migrate import require
from infra.settings import load

TRIES = 5


async def add(name: str, filter: str, home: Path | None, as_json: bool) -> int:
    """Make the consumer and print how it connects. Twice is once. Raises Refused, with nothing stored, or Away."""
    for what, given, flaw in (
        ("name", name, consumer.flaw_of_name(name)),
        ("filter", filter, consumer.flaw_of_filter(filter)),
    ):
        if flaw:
            raise Refused(f"The {what} of a consumer cannot be {given!r}: {flaw}.")
    place = _place(home)

    def decide(found: Consumer) -> list[Event]:
        if found.filter not in (None, filter):
            raise Refused(
                f"The consumer {name} has the filter {found.filter}, not {filter}: remove it first, or take another name."
            )
        return consumer.add(found, name, filter)

    await _decide(place, name, decide)
    if place.home is None:
        _print(_told(name, filter, passwords.password(), None, place.server), as_json)
        return 0
    with passwords.changing(place.home) as kept:
        secret = kept.setdefault(name, passwords.password())
    nats.write_accounts(place.home, QUEUES)
    state = await let_in(place.home, name, secret)
    if state:
        print(state, file=sys.stderr)
    _print(_told(name, filter, secret, place.home, place.server), as_json)
    return 0


async def remove(name: str, home: Path | None) -> int:
    """Take the consumer's rights and its durable. Raises Refused where there is no such consumer."""
    place = _place(home)

    def decide(found: Consumer) -> list[Event]:
        if found.version == 0:
            raise Refused(f"There is no consumer {name!r}.")
        return consumer.remove(found, name)

    if flaw := consumer.flaw_of_name(name):
        raise Refused(f"There is no consumer {name!r}: {flaw}.")
    await _decide(place, name, decide)
    if place.home is not None:
        with passwords.changing(place.home) as kept:
            kept.pop(name, None)
        nats.write_accounts(place.home, QUEUES)
        reload(place.home)
    else:
        print(f"Remove the account CONSUMER_{name} and its exports from the server's configuration.", file=sys.stderr)
    return 0


async def show(home: Path | None, as_json: bool) -> int:
    """Print the consumers, with the position that each has reached."""
    place = _place(home)
    database = Database(place.postgres, 1, "postcommit consumers")
    try:
        with asking.postgres(place.postgres):
            await require(database)
            found, last = await consumers.live(database), await head(database)
    finally:
        await database.close()
    if as_json:
        print(json.dumps({"items": [_item(one) for one in found], "head": last}, indent=2))
        return 0
    _table(found, last)
    return 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where consumers are registered: in an embedded installation, or by the settings."""

    postgres: str
    server: str  # host and port of NATS
    home: Home | None


def _place(path: Path | None) -> Place:
    if path is None:
        settings = load()
        parts = urlsplit(settings.nats)
        return Place(settings.postgres, f"{parts.hostname}:{parts.port or 4222}", None)
    home = opened(path)
    return Place(home.dsn("postcommit"), f"127.0.0.1:{home.ports['nats']}", home)


async def _decide(place: Place, name: str, decide: Callable[[Consumer], list[Event]]) -> None:
    """Read the consumer's stream, decide, and write what follows."""
    id, clock = consumer.id_of(name), Clock()
    database = Database(place.postgres, 1, "postcommit consumers")
    try:
        with asking.postgres(place.postgres):
            await require(database)
            for left in reversed(range(TRIES)):
                recorded = await PostgresLog(database).read(stream_of("consumer", id))
                found = consumer.fold(
                    (one.fact.event, one.fact.at) for one in recorded if isinstance(one.fact.event, Event)
                )
                if not (events := decide(found)):
                    return
                facts = compose.of_thing(id, found.version, events, _meta(), clock.now(), clock.new_id)
                try:
                    await consumers.write(database, Entry(facts))
                    return
                except Conflict:  # somebody was faster: what he wrote decides
                    if left == 0:
                        raise
    finally:
        await database.close()


def _meta() -> Meta:
    """Whoever may run the command is known by his login only."""
    try:
        login = getpass.getuser()
    except (KeyError, OSError):
        login = "unknown"
    return Meta(actor="cli/" + re.sub(r"[^A-Za-z0-9_.-]", "_", login)[:64])


def _told(name: str, filter: str, password: str, home: Home | None, server: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": name,
        "filter": filter,
        "stream": STREAM,
        "durable": durable(name),
        "url": f"nats://{durable(name)}:{password}@{server}",
        "inbox_prefix": f"_INBOX_{name}",
    }
    if home is None:
        told["accounts"] = nats.account(name, password)
        told["exports"] = "\n".join(nats.exports(name))
        told["denied"] = nats.denied(name)
    return told


def _print(told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(told, indent=2))
        return
    for key in ("stream", "durable", "url", "inbox_prefix"):
        print(f"{key}: {told[key]}")
    if "accounts" in told:
        print("\nThe password is kept nowhere else. For the server's configuration, within accounts { … }:\n")
        print(told["accounts"])
        print("\nwithin exports: [ … ] of the account POSTCOMMIT:\n")
        print(told["exports"])
        print("\nwithin publish: { deny: [ … ] } of every user of LOG who is no role of postcommit:\n")
        print("\n".join(f'      "{subject}"' for subject in told["denied"]))


def _item(one: Registered) -> dict[str, Any]:
    return {
        "name": one.name,
        "filter": one.filter,
        "position": one.position,
        "durable": durable(one.name),
        "created_at": one.created_at.isoformat().replace("+00:00", "Z"),
    }


def _table(found: Sequence[Registered], last: int) -> None:
    width = max([len(one.name) for one in found] + [4])
    print(f"{'name':{width}}  {'position':>10}  filter")
    for one in found:
        print(f"{one.name:{width}}  {one.position:>10}  {one.filter}")
    print(f"The log ends at {last}.", file=sys.stderr)
