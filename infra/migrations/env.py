"""Alembic's environment, over asyncpg. Run by `postcommit migrate`, under an advisory lock, in one transaction."""

import asyncio

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from adapters.postgres.tables import SCHEMA, metadata

LOCK = 0x706F7374  # one migration at a time


def migrate(connection: Connection) -> None:
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    context.configure(
        connection=connection, target_metadata=metadata, version_table="schema_version", version_table_schema=SCHEMA
    )
    with context.begin_transaction():
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        context.run_migrations()


async def online() -> None:
    engine = create_async_engine(context.config.attributes["address"])
    async with engine.begin() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


asyncio.run(online())
