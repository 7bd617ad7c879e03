"""What `postcommit readers` does: how far they are, and one of them folded anew."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import func, select

from adapters.postgres.database import Database
from adapters.postgres.readers import FOLDS, READERS
from infra import asking
from infra.actor import actor
from infra.exits import Refused
from infra.migrate import require
from infra.rebuild import Told, Unfoldable, Verdict, compared, rebuilt, require_fold


async def listed(dsn: str) -> list[dict[str, Any]]:
    """Every reader: its position, how far behind it is in facts and seconds, and how many rows it has written; None
    for one that is no fold. Raises Refused or Away."""
    database = Database(dsn, 1, "postcommit readers")
    try:
        with asking.postgres(dsn):
            await require(database)
            rows = await database.fetch("list_readers", list(READERS))
            return [dict(row) | {"rows": await _rows(database, row["name"])} for row in rows]
    finally:
        await database.close()


async def rebuild(name: str, dsn: str, owner: str | None, told: Told, say: Callable[[str], None]) -> Verdict:
    """Fold the log anew beside the reader's rows, tell what differs, and mend it as the schema's owner; without one
    only compare. Raises Refused or Away."""
    require_fold(name)
    database = Database(dsn, 1, "postcommit readers")
    try:
        with asking.postgres(dsn):
            await require(database)
    finally:
        await database.close()
    try:
        with asking.postgres(owner or dsn):
            return await (rebuilt(owner, name, actor(), told, say) if owner else compared(dsn, name, told))
    except Unfoldable as error:
        raise Refused(str(error)) from error


async def _rows(database: Database, name: str) -> int | None:
    if name not in FOLDS:
        return None
    async with database.core() as connection:
        return int(await connection.scalar(select(func.count()).select_from(FOLDS[name].table)) or 0)
