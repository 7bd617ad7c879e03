"""Readers: what a fold of the log writes, and its cursor, in one transaction. Applying a fact twice is impossible."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg
import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres import codec
from adapters.postgres.database import Database, statement
from adapters.postgres.tables import audit, balance, cursors
from domain import audit as audits
from domain import balance as balances
from domain.log import Recorded

Apply = Callable[[AsyncConnection, Sequence[Recorded]], Awaitable[None]]


async def apply_audit(connection: AsyncConnection, recorded: Sequence[Recorded]) -> None:
    lines = [audits.line(one) for one in recorded]
    await connection.execute(audit.insert(), [_row(line) for line in lines])


def _row(line: audits.Line) -> dict[str, object]:
    values = {name: getattr(line, name) for name in line.__struct_fields__}
    return values | {name: codec.optional(values[name]) for name in ("before", "after")}


def audited(row: Any) -> audits.Line:
    """A line of the audit from its row."""
    values = {name: msgspec.json.decode(row[name]) if row[name] is not None else None for name in ("before", "after")}
    return audits.Line(**{**row, **values})


async def apply_balance(connection: AsyncConnection, recorded: Sequence[Recorded]) -> None:
    for name, more in sorted(balances.counts(recorded).items()):
        await connection.execute(balance.update().where(balance.c.name == name).values(count=balance.c.count + more))


APPLY: dict[str, Apply] = {"audit": apply_audit, "balance": apply_balance}
RELEASE = "release"
READERS = (*APPLY, RELEASE)


async def step(database: Database, name: str, apply: Apply | None = None, limit: int = 500) -> int:
    """Apply the next facts after the reader's cursor; answers how many. Without `apply` it is the reader's own fold.

    Two processes of one reader take turns at the cursor's row. Raises UnknownEvent where a newer program wrote a fact:
    the reader then stands still, aloud, rather than skip it."""
    async with database.core() as connection:
        query = select(cursors.c.position).where(cursors.c.name == name).with_for_update()
        position = (await connection.execute(query)).scalar_one()
        raw = await driver_of(connection)
        recorded = [codec.recorded(row) for row in await raw.fetch(statement("read_ledger"), position, limit)]
        if recorded:
            await (apply or APPLY[name])(connection, recorded)
            moved = cursors.update().where(cursors.c.name == name)
            await connection.execute(moved.values(position=recorded[-1].position, at=func.clock_timestamp()))
    return len(recorded)


async def driver_of(connection: AsyncConnection) -> "asyncpg.Connection[asyncpg.Record]":
    """The asyncpg connection below, in the same transaction."""
    raw = (await connection.get_raw_connection()).driver_connection
    assert raw is not None, "A connection that is open has a driver."
    return raw  # type: ignore[no-any-return]
