"""Where the ledger ends, and which history it tells."""

from sqlalchemy import func, select

from adapters.postgres.database import Database
from adapters.postgres.tables import epochs, ledger


async def head(database: Database) -> int:
    """The last position; 0 where there is none."""
    async with database.core() as connection:
        return int(await connection.scalar(select(func.coalesce(func.max(ledger.c.position), 0))) or 0)


async def epoch(database: Database) -> str:
    """The log's epoch: another one means that history was rewritten, and that positions may have another content."""
    async with database.core() as connection:
        return str(await connection.scalar(select(epochs.c.id).order_by(epochs.c.id.desc()).limit(1)))
