"""Which files there are: the store's catalogue, so that none goes while somebody is about to point at it.

Whoever names a file touches its row first; whoever removes one marks the row first. So the two never pass each other,
whatever the store can promise."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from adapters.postgres.database import Database
from domain.file import File

TRIES, PAUSE_S = 100, 0.1


class Going(Exception):
    """A file is being removed for so long that nobody can wait for it."""


async def touch(database: Database, files: Iterable[File]) -> None:
    """Before these files get their names: from now on they stay for the grace period. Raises Going."""
    left = {file.sha256: file.size_bytes for file in files}
    for _ in range(TRIES):
        for row in await database.fetch("touch_files", list(left), list(left.values())) if left else ():
            del left[row["sha256"]]
        if not left:
            return
        await asyncio.sleep(PAUSE_S)
    raise Going(f"The file {next(iter(left))} is being removed. Try again in a moment.")


async def claim_unheld(database: Database, grace: timedelta, head: int, most: int) -> Sequence[str]:
    """The SHA-256 of files to remove; `head` is where the ledger ended a while ago."""
    return [row["sha256"] for row in await database.fetch("claim_unheld_files", grace, head, most)]


async def remembered(database: Database, source: str, operation: str) -> Mapping[str, Any] | None:
    """The result of the last task that did this to a file, as far as the reader `made` is."""
    rows = await database.fetch("find_made", source, operation)
    return msgspec.json.decode(rows[0]["result"]) if rows else None


async def forget(database: Database, gone: Sequence[str]) -> None:
    await database.fetch("forget_files", list(gone))
