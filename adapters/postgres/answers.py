"""The first answers under idempotency keys: what a repeated request is told again."""

from sqlalchemy import select

from adapters.postgres.database import Database
from adapters.postgres.tables import idempotency
from domain.log import Answer


async def first_answer(database: Database, holder: str, route: str, key: str) -> tuple[bytes, Answer] | None:
    """The fingerprint of the first request under the key, and its answer; None where the key is free."""
    table = idempotency.c
    query = select(table.fingerprint, table.status, table.body, table.location).where(
        table.holder == holder, table.route == route, table.key == key
    )
    async with database.core() as connection:
        row = (await connection.execute(query)).one_or_none()
    return None if row is None else (row.fingerprint, Answer(row.status, row.body, row.location))
