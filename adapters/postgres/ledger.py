"""Where the ledger ends, and which history it tells."""

from datetime import datetime

from sqlalchemy import func, select

from adapters.postgres.database import Database
from adapters.postgres.tables import epochs, events, ledger, outbox


async def head(database: Database) -> int:
    """The last position; 0 where there is none."""
    async with database.core() as connection:
        return int(await connection.scalar(select(func.coalesce(func.max(ledger.c.position), 0))) or 0)


async def settled(database: Database, at: datetime) -> int | None:
    """The last position, where no fact from before this time still waits for its number; else None. One that is being
    written in this moment is not seen."""
    async with database.core() as connection:
        waiting = select(outbox.c.event).join(events, events.c.id == outbox.c.event).where(events.c.at < at).limit(1)
        if await connection.scalar(waiting) is not None:
            return None
    return await head(database)


async def epoch(database: Database) -> str:
    """The log's epoch: another one means that history was rewritten, and that positions may have another content."""
    async with database.core() as connection:
        return str(await connection.scalar(select(epochs.c.id).order_by(epochs.c.id.desc()).limit(1)))
