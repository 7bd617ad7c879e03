"""`postcommit check`: the invariants of the promise, in SQL and across the stores. Prints what breaks them."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import nats
from nats.errors import Error as NatsError
from sqlalchemy import text

from adapters.nats.api import ApiError, NoAnswer
from adapters.postgres.database import Database
from adapters.postgres.queries import PostgresQueries
from infra.check import folds, stream
from infra.exits import Away, Refused
from infra.settings import mask

INVARIANTS = Path(__file__).parent / "invariants.sql"
MOST = 20  # offenders that are named
NATS_ERRORS = (OSError, NatsError, NoAnswer, ApiError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Finding:
    """One invariant; without offenders it holds."""

    name: str
    offenders: list[str]


async def check(database: Database, nats_url: str | None) -> AsyncIterator[Finding]:
    """Every invariant in turn. Without an address of NATS the stream is not compared.

    Raises Away or Refused where NATS cannot be asked, and what the database raises."""
    for name, query in queries():
        async with database.core() as connection:
            rows = await connection.execute(text(query))
            yield Finding(name, [str(row[0]) for row in rows.fetchmany(MOST)])
    yield Finding("row = fold of its stream", await folds.rows_differing_from_their_streams(database))
    yield Finding("audit = fold of the log", await folds.audit_differing_from_the_log(database))
    found = await PostgresQueries(database).balance()
    yield Finding("the balance has difference 0", [] if found.difference == 0 else [str(found)])
    if nats_url:
        yield Finding("the stream = the ledger", await _stream(database, nats_url))


def queries() -> list[tuple[str, str]]:
    """(name, query) of invariants.sql."""
    parts = re.split(r"^-- name: (.+)$", INVARIANTS.read_text(), flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


async def _stream(database: Database, nats_url: str) -> list[str]:
    try:
        client = await nats.connect(
            nats_url,
            connect_timeout=2,
            allow_reconnect=False,
            max_reconnect_attempts=1,  # of the first connection too
            reconnect_time_wait=0.1,
            error_cb=_unheard,
        )
    except NATS_ERRORS as error:
        raise _unasked(nats_url, error) from error
    try:
        return await stream.differing_from_the_ledger(database, client)
    except NATS_ERRORS as error:
        raise _unasked(nats_url, error) from error
    finally:
        await client.close()


def _unasked(nats_url: str, error: Exception) -> Away | Refused:
    words = (str(error) or type(error).__name__).rstrip(".")
    if "authorization" in words.lower():
        return Refused(f"NATS at {mask(nats_url)} refuses this: {words}.")
    return Away(f"NATS at {mask(nats_url)} cannot be asked: {words}.")


async def _unheard(_: Exception) -> None:
    """What goes wrong is raised."""
