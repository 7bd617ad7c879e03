"""The keys of the REST API. Only hashes of secrets are stored; what is done to a key is a fact of the log, written in
the same transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, assert_never

import asyncpg
from sqlalchemy import func, select

from adapters.postgres.database import Database, statement
from adapters.postgres.log import columns
from adapters.postgres.tables import keys
from domain import key
from domain.access import Key, Scope
from domain.log import Conflict, Entry, Fact


@dataclass(frozen=True, slots=True)
class Row:
    """A key as it stands, without its secrets."""

    name: str
    scope: str
    created_at: datetime
    revoked_at: datetime | None
    old_until: datetime | None  # until then the secret before the last rotation is valid, too


@dataclass(frozen=True, slots=True)
class Change:
    """What was decided about the key `name`, and its new secret where it gets one."""

    name: str
    facts: tuple[Fact, ...]
    secret: str = ""


async def find(database: Database, hash: bytes) -> Key | None:
    """Whose key it is, by the SHA-256 of its secret; None where there is none, or it is valid no more."""
    rows = await database.fetch("find_key", hash)
    return Key(rows[0]["name"], Scope(rows[0]["scope"])) if rows else None


async def signer(database: Database, name: str) -> tuple[Key, tuple[bytes, ...]] | None:
    """The key of this name and the SHA-256 of each of its secrets that are valid; None where it is valid no more."""
    rows = await database.fetch("find_signer", name)
    if not rows:
        return None
    hashes = (rows[0]["hash"], rows[0]["old_hash"])
    return Key(rows[0]["name"], Scope(rows[0]["scope"])), tuple(one for one in hashes if one is not None)


async def listed(database: Database) -> list[Row]:
    """All keys that ever were, by name."""
    live = func.clock_timestamp() < keys.c.old_until
    old_until = keys.c.old_until
    query = select(keys.c.name, keys.c.scope, keys.c.created_at, keys.c.revoked_at, old_until, live.label("live"))
    async with database.core() as connection:
        rows = (await connection.execute(query.order_by(keys.c.name))).all()
    return [Row(r.name, r.scope, r.created_at, r.revoked_at, r.old_until if r.live else None) for r in rows]


async def write(database: Database, changes: Sequence[Change]) -> None:
    """Write all of it, facts and rows, or nothing. Raises Conflict where somebody else was first."""
    try:
        async with database.driver() as connection, connection.transaction():
            for change in changes:
                await connection.fetch(statement("append_entries"), *columns([Entry(change.facts)]))
                for fact in change.facts:
                    if not await _apply(connection, change, fact.event):
                        raise Conflict(f"The key {change.name} changed meanwhile.")
    except asyncpg.UniqueViolationError as error:
        raise Conflict(f"Somebody else wrote first: {error}") from error


async def _apply(connection: Any, change: Change, event: Any) -> bool:
    hash = hash_of(change.secret)
    match event:
        case key.Issued(name=name, scope=scope):
            done = await connection.fetch(statement("issue_key"), hash, name, scope)
        case key.Rotated(grace_s=grace_s):
            done = await connection.fetch(statement("rotate_key"), hash, change.name, timedelta(seconds=grace_s))
        case key.Revoked():
            done = await connection.fetch(statement("revoke_key"), change.name)
        case _:
            assert_never(event)
    return bool(done)


def hash_of(secret: str) -> bytes:
    return sha256(secret.encode()).digest()
