"""Whether the store has what the log holds."""

from collections.abc import AsyncGenerator

from sqlalchemy import select

from adapters.postgres.database import Database
from adapters.postgres.tables import files as known
from adapters.postgres.tables import holds
from domain.file import Files

CHUNK = 500


async def files_missing_from_the_store(database: Database, store: Files) -> AsyncGenerator[str, None]:
    """The files that something holds and that the store has not, or in another size, as sentences. Nothing is read."""
    after = ""
    held = select(known.c.sha256, known.c.size_bytes).where(known.c.sha256.in_(select(holds.c.sha256)))
    while True:
        async with database.core() as connection:
            query = held.where(known.c.sha256 > after).order_by(known.c.sha256).limit(CHUNK)
            rows = list((await connection.execute(query)).mappings())
        for row in rows:
            if (size := await store.size(row["sha256"])) != row["size_bytes"]:
                found = "is missing" if size is None else f"has {size} bytes"
                yield f"the file {row['sha256']} of {row['size_bytes']} bytes {found}"
        if not rows:
            return
        after = rows[-1]["sha256"]
