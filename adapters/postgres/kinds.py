"""The kinds, told to the database, so that postcommit.request() knows them."""

from collections.abc import Sequence

import msgspec
from sqlalchemy.dialects.postgresql import insert

from adapters.postgres.database import Database
from adapters.postgres.tables import kinds
from domain.kind import AnyKind


async def register(database: Database, known: Sequence[AnyKind]) -> None:
    """Write the vocabulary of every kind: new ones are added, known ones brought up to date, none is removed."""
    statement = insert(kinds)
    statement = statement.on_conflict_do_update(
        index_elements=[kinds.c.name],
        set_={name: statement.excluded[name] for name in ("queue", "max_attempts", "schema", "personal")},
    )
    async with database.core() as connection:
        await connection.execute(statement, [_row(kind) for kind in known])


def _row(kind: AnyKind) -> dict[str, object]:
    return {
        "name": kind.name,
        "queue": kind.queue,
        "max_attempts": kind.max_attempts,
        "schema": msgspec.json.encode(msgspec.json.schema(kind.request)).decode(),
        "personal": list(kind.personal),
    }
