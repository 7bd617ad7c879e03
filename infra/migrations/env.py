"""Alembic's environment, over asyncpg. Run by `postcommit migrate`, under an advisory lock, in one transaction."""

import asyncio

from alembic import context
from sqlalchemy import Connection, text

from adapters.postgres.database import engine_of
from adapters.postgres.tables import SCHEMA, metadata

LOCK = 0x706F7374  # one migration at a time
TURN = "60s"  # for another migration
TABLES = "5s"  # for a table that is in use: meanwhile everybody else would wait behind this one


def migrate(connection: Connection) -> None:
    connection.execute(text(f"SET LOCAL lock_timeout = '{TURN}'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    connection.execute(text(f"SET LOCAL lock_timeout = '{TABLES}'"))
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    context.configure(
        connection=connection, target_metadata=metadata, version_table="schema_version", version_table_schema=SCHEMA
    )
    with context.begin_transaction():
        context.run_migrations()
    table = f"{SCHEMA}.schema_version"  # alembic's own, which the roles may read
    connection.execute(text(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS compatible_from TEXT"))
    reached = connection.scalar(text(f"SELECT version_num FROM {table}"))
    connection.execute(text(f"UPDATE {table} SET compatible_from = :oldest"), {"oldest": compatible_from(reached)})


def compatible_from(reached: str) -> str:
    """The oldest version whose programs may go on: every migration up to there tells it of itself."""
    return max(str(one.module.compatible_from) for one in context.script.walk_revisions("base", reached))


async def online() -> None:
    engine = engine_of(context.config.attributes["dsn"], {"application_name": "postcommit migrate"})
    try:
        async with engine.begin() as connection:
            await connection.run_sync(migrate)
    finally:
        await engine.dispose()


asyncio.run(online())
