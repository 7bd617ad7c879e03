"""The registered consumers: a row each, written together with its fact, and the position that it has reached."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
from sqlalchemy import func, literal, select, text
from sqlalchemy.dialects.postgresql import insert

from adapters.postgres.database import LOST_A_RACE, Database, again, statement
from adapters.postgres.following import driver_of
from adapters.postgres.log import columns
from adapters.postgres.tables import consumers, events, ledger
from domain.consumer import Added, Removed, pattern
from domain.log import Conflict, Entry

LOOK_S = 3.0  # what counting may take: it reads the log


@dataclass(frozen=True, slots=True)
class Registered:
    name: str
    filter: str
    position: int  # everything up to here that the filter lets through was acknowledged
    created_at: datetime
    removed_at: datetime | None = None


async def live(database: Database) -> Sequence[Registered]:
    """Those that are not removed, by name."""
    return [one for one in await everyone(database) if one.removed_at is None]


async def everyone(database: Database) -> Sequence[Registered]:
    """Those that were removed, too."""
    async with database.core() as connection:
        rows = await connection.execute(select(consumers).order_by(consumers.c.name))
        return [Registered(**row) for row in rows.mappings()]


async def write(database: Database, entry: Entry) -> None:
    """Write the facts, and the row that they are about, together. Raises Conflict where somebody else wrote first."""
    try:
        await again(lambda: _write(database, entry), LOST_A_RACE)
    except asyncpg.UniqueViolationError as error:
        raise Conflict(f"Somebody else wrote first: {error}") from error


async def _write(database: Database, entry: Entry) -> None:
    async with database.core() as connection:
        raw = await driver_of(connection)
        await raw.fetch(statement("append_entries"), *columns([entry]))
        for fact in entry.facts:
            match fact.event:
                case Added(name=name, filter=filter):
                    values = {"filter": filter, "position": 0, "created_at": fact.at, "removed_at": None}
                    query = insert(consumers).values(name=name, **values)
                    await connection.execute(query.on_conflict_do_update(index_elements=["name"], set_=values))
                case Removed(name=name):
                    query = consumers.update().where(consumers.c.name == name).values(removed_at=fact.at)  # type: ignore[assignment]
                    await connection.execute(query)
                case _:
                    raise AssertionError(f"A consumer's fact cannot be {fact.event}.")


async def reached(database: Database, name: str, created_at: datetime, position: int) -> None:
    """Remember how far the consumer has come: never back, and not where it was removed and added again meanwhile."""
    same = (consumers.c.name == name, consumers.c.created_at == created_at, consumers.c.position < position)
    async with database.core() as connection:
        await connection.execute(consumers.update().where(*same).values(position=position))


async def missed(database: Database, filter: str, after: int, before: int) -> int:
    """How many facts between two positions the filter lets through."""
    query = (
        select(func.count())
        .select_from(ledger.join(events, events.c.id == ledger.c.event))
        .where(ledger.c.position > after, ledger.c.position < before)
        .where(events.c.subject.op("~")(literal(pattern(filter))))
    )
    async with database.core() as connection:
        await connection.execute(text(f"SET LOCAL statement_timeout = '{LOOK_S}s'"))
        return int(await connection.scalar(query) or 0)
