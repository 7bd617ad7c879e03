"""The log as it is read within a transaction of a reader."""

from collections.abc import Sequence

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres import codec
from adapters.postgres.database import statement
from domain.log import Recorded


async def following(connection: AsyncConnection, position: int, limit: int) -> Sequence[Recorded]:
    """The facts after a position, at most `limit`, fewer where they are large. Raises UnknownEvent."""
    raw = await driver_of(connection)
    return [codec.recorded(row) for row in await raw.fetch(statement("read_ledger"), position, limit)]


async def driver_of(connection: AsyncConnection) -> "asyncpg.Connection[asyncpg.Record]":
    """The asyncpg connection below, in the same transaction."""
    raw = (await connection.get_raw_connection()).driver_connection
    assert raw is not None, "A connection that is open has a driver."
    return raw  # type: ignore[no-any-return]
