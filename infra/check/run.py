"""`postcommit check`: the invariants of the promise, in SQL and across the stores. Prints what breaks them."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from adapters.postgres.database import Database
from adapters.postgres.queries import PostgresQueries
from domain.file import Files
from infra import asking
from infra.check import folds, store, stream

INVARIANTS = Path(__file__).parent / "invariants.sql"
MOST = 20  # offenders that are named
LATER = frozenset(
    {
        "the outbox is young",
        "no expired lease is unrescued",
        "what is due is dispatched",
        "what waits has something to wait for",
    }
)
"""Those that hold once everything was up for half a minute; the others hold at any moment."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One invariant; without offenders it holds. `more` says that others are not named."""

    name: str
    offenders: list[str]
    more: bool = False


async def check(database: Database, nats_url: str | None, files: Files | None = None) -> AsyncIterator[Finding]:
    """Every invariant in turn. Without an address of NATS the stream is not compared, without a store no file is.

    Raises Away or Refused where NATS cannot be asked, and what the database raises."""
    for name, query in queries():
        yield await _asked(database, name, query)
    yield _finding("row = fold of its stream", await _first(folds.rows_differing_from_their_streams(database)))
    yield _finding("key = fold of its stream", await _first(folds.keys_differing_from_their_streams(database)))
    yield _finding("audit = fold of the log", await _first(folds.audit_differing_from_the_log(database)))
    for reader in ("analytics", "files", "made", "search"):
        differing = folds.reader_differing_from_the_log(database, reader)
        yield _finding(f"{reader} = fold of the log", await _first(differing))
    yield await _balanced(database)
    if files is not None:
        missing = store.files_missing_from_the_store(database, files)
        yield _finding("the store has every file that is held", await _first(missing))
    if nats_url:
        yield _finding("the stream = the ledger", await _stream(database, nats_url))


async def at_any_moment(database: Database) -> AsyncIterator[Finding]:
    """Those that hold also while something is down: each is asked of one snapshot. Raises what the database raises."""
    for name, query in queries():
        if name not in LATER:
            yield await _asked(database, name, query)
    yield await _balanced(database)


async def _asked(database: Database, name: str, query: str) -> Finding:
    async with database.core() as connection:
        rows = (await connection.execute(text(query))).fetchmany(MOST + 1)
    return _finding(name, [str(row[0]) for row in rows])


async def _balanced(database: Database) -> Finding:
    found = await PostgresQueries(database).balance()
    return Finding("the balance has difference 0", [] if found.difference == 0 else [str(found)])


def queries() -> list[tuple[str, str]]:
    """(name, query) of invariants.sql."""
    parts = re.split(r"^-- name: (.+)$", INVARIANTS.read_text(), flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


def _finding(name: str, offenders: Sequence[str]) -> Finding:
    return Finding(name, list(offenders[:MOST]), more=len(offenders) > MOST)


async def _first(offenders: AsyncGenerator[str, None]) -> list[str]:
    """One more than are named: so it is known whether there are others."""
    found: list[str] = []
    async with aclosing(offenders):
        async for offender in offenders:
            found.append(offender)
            if len(found) > MOST:
                break
    return found


async def _stream(database: Database, nats_url: str) -> list[str]:
    async with asking.nats(nats_url) as client:
        return await _first(stream.differing_from_the_ledger(database, client))
