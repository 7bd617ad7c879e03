"""A task in your own transaction, from Python: the twin of `SELECT postcommit.request(kind, request, key)`.

    async with session.begin():
        session.add(order)
        await request(await session.connection(), email.KIND, email.Request(account=id))

The task exists exactly if your transaction commits. (Calling the REST API from a handler that writes to a database of
its own would be two writes, and a crash between them loses one.)"""

from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from domain.kind import Kind

Request = TypeVar("Request")


async def request(
    connection: "AsyncConnection | AsyncSession | asyncpg.Connection[Any]",
    kind: Kind[Request, Any],
    request: Request,
    key: str | None = None,
) -> UUID:
    """Request a task on the caller's connection, within its transaction; answers with the task's id.

    `key` makes it once: the same key and request give the same task again. Raises the driver's error with SQLSTATE
    22023 where the request is too large (512 KiB) or the key was used for another one."""
    body = msgspec.json.encode(request).decode()
    if isinstance(connection, AsyncConnection | AsyncSession):
        query = text("SELECT postcommit.request(:kind, CAST(:request AS text)::jsonb, :key)")
        found = await connection.scalar(query, {"kind": kind.name, "request": body, "key": key})
    else:
        found = await connection.fetchval("SELECT postcommit.request($1, $2::text::jsonb, $3)", kind.name, body, key)
    return UUID(str(found))
