"""What `postcommit keys` does: decided as every story is, and written with its fact in one transaction."""

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from adapters.postgres import keys
from adapters.postgres.database import Database
from adapters.postgres.keys import Change, Row
from adapters.postgres.log import PostgresLog
from domain import compose, key
from domain.access import Scope
from domain.key import Key
from domain.log import Conflict, Fact, Meta, stream_of
from infra import asking
from infra.actor import actor
from infra.clock import Clock
from infra.exits import Conflicting, Misused, NotFound, Refused
from infra.migrate import require

MOST_GRACE_S = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Desk:
    """What the commands need, on one database."""

    database: Database
    clock: Clock

    async def story(self, name: str) -> Key:
        recorded = await PostgresLog(self.database).read(stream_of("key", key.id_of(name)))
        return key.fold(one.fact.event for one in recorded if isinstance(one.fact.event, key.Event))

    def facts(self, name: str, before: Key, events: Sequence[key.Event]) -> tuple[Fact, ...]:
        meta = Meta(actor=actor(), correlation_id=str(self.clock.new_id()))
        return compose.of_thing(key.id_of(name), before.version, events, meta, self.clock.now(), self.clock.new_id)

    async def write(self, changes: Sequence[Change]) -> None:
        try:
            await keys.write(self.database, changes)
        except Conflict as error:
            names = ", ".join(change.name for change in changes)
            raise Conflicting(
                f"Somebody else changed the keys at the same time, or a secret is that of another key: nothing was "
                f"done to {names}."
            ) from error


async def create(dsn: str, name: str, scope: Scope) -> str:
    """A new key; answers with its secret, which is told only here. Raises Misused, Conflicting, Refused or Away."""
    if not key.may_be_called(name):
        raise Misused(
            f"The name of a key has 1 to 64 letters, digits, _ or -, and is not 'system'; this one is {name!r}."
        )
    async with _desk(dsn) as desk:
        before = await desk.story(name)
        if not (events := key.issue(before, name, scope)):
            how = "was revoked: a name is given only once" if before.revoked else "exists already"
            raise Conflicting(f"The key {name} {how}.")
        secret = new_secret()
        await desk.write([Change(name, desk.facts(name, before, events), secret)])
    return secret


async def rotate(dsn: str, name: str, grace_s: float) -> str:
    """Another secret for the key; the one before stays valid for `grace_s`. Answers with the new one."""
    if not 0 <= grace_s <= MOST_GRACE_S:
        raise Misused(f"The time of grace is from 0 to {MOST_GRACE_S:.0f} seconds, and this one is {grace_s}.")
    async with _desk(dsn) as desk:
        before = await _known(desk, name)
        if not (events := key.rotate(before, grace_s)):
            raise Conflicting(f"The key {name} was revoked: make another one, with another name.")
        secret = new_secret()
        await desk.write([Change(name, desk.facts(name, before, events), secret)])
    return secret


async def revoke(dsn: str, name: str) -> None:
    """End the key. Twice is once."""
    async with _desk(dsn) as desk:
        before = await _known(desk, name)
        if events := key.revoke(before):
            await desk.write([Change(name, desk.facts(name, before, events))])


async def listed(dsn: str) -> list[Row]:
    async with _desk(dsn) as desk:
        return await keys.listed(desk.database)


async def take(dsn: str, wanted: Mapping[str, str], keep: bool) -> list[str]:
    """Make the keys, whose names are also their scopes, all or none. One that exists gets the given secret, unless
    `keep`. One that was revoked stays so: answers with the names of these.

    Raises Refused, with nothing changed, Conflicting or Away."""
    async with _desk(dsn) as desk:
        revoked = [name for name in wanted if (await desk.story(name)).revoked]
        changes = [await _taken(desk, name, secret, keep) for name, secret in wanted.items() if name not in revoked]
        if facts := [change for change in changes if change.facts]:
            await desk.write(facts)
        return revoked


async def _taken(desk: Desk, name: str, secret: str, keep: bool) -> Change:
    before = await desk.story(name)
    if before.version == 0:
        return Change(name, desk.facts(name, before, key.issue(before, name, name)), secret)
    if before.scope != name:
        raise Refused(f"The key {name} exists with the scope {before.scope}: it cannot be imported.")
    held = await keys.find(desk.database, keys.hash_of(secret))
    if keep or (held is not None and held.name == name):
        return Change(name, ())
    return Change(name, desk.facts(name, before, key.rotate(before, 0.0)), secret)


async def _known(desk: Desk, name: str) -> Key:
    found = await desk.story(name)
    if found.version == 0:
        raise NotFound(f"There is no key {name!r}.")
    return found


@asynccontextmanager
async def _desk(dsn: str) -> AsyncIterator[Desk]:
    database = Database(dsn, 1, "postcommit keys")
    try:
        with asking.postgres(dsn):
            await require(database)
            yield Desk(database, Clock())
    finally:
        await database.close()


def new_secret() -> str:
    """256 random bits."""
    return f"pc_{secrets.token_urlsafe(32)}"
