"""When is there nothing left to be done? And what has the log more than before?"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import httpx

from infra.drill.evidence import Line
from infra.drill.findings import kept_files, line, torn
from infra.drill.matrix.insisting import told, until

Connection: TypeAlias = "asyncpg.Connection[Any]"
PAGE = 500
OPEN = "SELECT id::text || ' ' || kind || ' ' || status FROM postcommit.tasks WHERE finished_at IS NULL"
BEHIND = """
SELECT 'outbox ' || count(*) FROM postcommit.outbox HAVING count(*) > 0
UNION ALL
SELECT name || ' at ' || position FROM postcommit.cursors
WHERE position < (SELECT coalesce(max(position), 0) FROM postcommit.ledger)
"""


async def left(connection: Connection, open: bool) -> list[str]:
    """What is still to be numbered, told or applied; and the tasks that are `open`, if these count."""
    found = [str(row[0]) for row in await connection.fetch(BEHIND)]
    return found + ([str(row[0]) for row in await connection.fetch(OPEN)] if open else [])


async def quiet(connection: Connection, patience_s: float, open: bool = True) -> list[str]:
    """Wait until nothing is left. Answers with what still is, when time is over."""

    async def holds() -> bool:
        return not await left(connection, open)

    try:
        await until(holds, "all is quiet", patience_s)
    except TimeoutError:
        return await left(connection, open)
    return []


async def tail(client: httpx.AsyncClient, after: int) -> Sequence[Line]:
    """The facts behind a position."""
    lines: list[Line] = []
    while True:
        items = (await told(client, "/v1/events", params={"after": after, "limit": PAGE}))["items"]
        lines += [line(one) for one in items]
        if len(items) < PAGE:
            return lines
        after = lines[-1].position


async def misnamed(connection: Connection, store: Path) -> list[str]:
    """Files whose content is not what their name says, and those of which the catalogue knows nothing."""
    known = {row[0] for row in await connection.fetch("SELECT sha256 FROM postcommit.files")}
    unknown = sorted(kept_files(store).keys() - known)
    return await asyncio.to_thread(torn, store) + [f"nobody knows of {one}" for one in unknown]
