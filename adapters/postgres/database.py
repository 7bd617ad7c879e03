"""One pool of connections. SQLAlchemy owns it; the hot statements run on its asyncpg connections."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from adapters.postgres import hot

T = TypeVar("T")
SQL = Path(__file__).parent / "sql"
TRIES = 4
LOST_A_RACE = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
AGAIN = (*LOST_A_RACE, asyncpg.LockNotAvailableError)
GONE = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # of a connection that was cut in the middle of an answer
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    OSError,
    asyncio.TimeoutError,
)


CONNECT_S = 5.0
LIBPQS_OWN = {  # of an address; without them asyncpg, and what waits here has an end of its own
    *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
    *("fallback_application_name", "sslcompression", "sslsni"),
}
UNKNOWN_HERE = {"channel_binding", "gssencmode"}  # to asyncpg; where they are required, Postgres refuses the name
SMALL = 4  # a pool with fewer connections has none for hot statements alone
STATEMENT_S = 10  # what a statement may take, if nothing else is said
LIMITS = {"statement_timeout": f"{STATEMENT_S}s", "lock_timeout": "1s", "idle_in_transaction_session_timeout": "60s"}


class Unavailable(Exception):
    """Postgres did not answer; whether anything was written is not known."""


TRANSIENT = (Unavailable, asyncpg.PostgresError, *GONE)
"""Errors after which a loop logs and goes on: the next look finds out what is true."""

UNSTORABLE = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, ValueError, TypeError, OverflowError)
"""Errors for which what was to be written is itself at fault: it is refused again, however often it is tried."""


class Unsafe(Exception):
    """Postgres is set up so that a promise would not hold: what it acknowledged can be lost, or change its order."""


def _as_it_is(value: str) -> str:
    """JSON goes in and comes out as text: the codec knows its types."""
    return value


JSON_AS_TEXT: dict[str, Any] = {"json_serializer": _as_it_is, "json_deserializer": _as_it_is}


@cache
def statement(name: str) -> str:
    """The text of `sql/<name>.sql`."""
    return (SQL / f"{name}.sql").read_text()


async def connect(
    dsn: str, settings: Mapping[str, str], command_timeout_s: float | None = None
) -> "asyncpg.Connection[asyncpg.Record]":
    """Connect, with these settings of the session, by a postgresql:// address as libpq takes it.

    What asyncpg does not know there it would send to the server as a setting, and be refused: connect_timeout, and
    what means nothing without libpq. An application_name of the address is preferred to that of `settings`."""
    parts = urlsplit(dsn)
    given = {name: value for name, value in parse_qsl(parts.query) if name not in LIBPQS_OWN}
    asked = {
        name: value
        for name, value in given.items()
        if name != "connect_timeout" and not (name in UNKNOWN_HERE and value in ("disable", "prefer"))
    }
    own = {name: value for name, value in asked.items() if name == "application_name"}
    return await asyncpg.connect(
        urlunsplit(parts._replace(query=urlencode(asked))),
        timeout=_seconds(given.get("connect_timeout", "")) or CONNECT_S,
        command_timeout=command_timeout_s,
        server_settings={**settings, **own},
    )


def _seconds(text: str) -> float:
    if text and not text.isdecimal():
        raise asyncpg.ClientConfigurationError(f"connect_timeout should be whole seconds, and it is {text!r}")
    return float(text or 0)


def engine_of(
    dsn: str, settings: Mapping[str, str], command_timeout_s: float | None = None, **options: Any
) -> AsyncEngine:
    """SQLAlchemy's engine over `connect`: its own way would hand every parameter of the address to asyncpg.connect() as
    an argument, sslmode among them, which is none."""
    creator = partial(connect, dsn, settings, command_timeout_s)
    return create_async_engine("postgresql+asyncpg://", async_creator=creator, **options)


@dataclass(frozen=True, slots=True)
class Schema:
    version: str
    compatible_from: str | None  # the oldest version whose programs may go on; None: no other than its own


class Database:
    """The pool. `size` is the most connections that this process opens; half of a larger pool are for hot statements.

    `durable` is false only for what a power cut may take back: heartbeats, and what readers fold from the log again."""

    def __init__(
        self, dsn: str, size: int = 8, name: str = "postcommit", durable: bool = True, statement_s: int = STATEMENT_S
    ) -> None:
        self.dsn = dsn
        self.name = name
        settings = LIMITS | {"application_name": name, "statement_timeout": f"{statement_s}s"}
        settings |= {} if durable else {"synchronous_commit": "off"}
        patience_s, hot_size = statement_s + 20.0, size // 2 if size >= SMALL else 0
        self._hot = hot.Hot(partial(connect, dsn, settings | hot.SETTINGS, patience_s), hot_size)
        self.engine = engine_of(
            dsn,
            settings,
            command_timeout_s=patience_s,
            pool_size=size - hot_size,
            max_overflow=0,
            pool_timeout=2.0,
            pool_use_lifo=True,
            **JSON_AS_TEXT,
        )

    @asynccontextmanager
    async def driver(self) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
        """An asyncpg connection of the pool, outside any transaction. Raises Unavailable."""
        async with self.core() as connection:
            raw = await connection.get_raw_connection()
            yield raw.driver_connection  # type: ignore[misc]

    @asynccontextmanager
    async def core(self) -> AsyncIterator[AsyncConnection]:
        """A connection for SQLAlchemy Core; it commits when the block ends. Raises Unavailable."""
        try:
            async with self.engine.connect() as connection:
                try:
                    yield connection
                except GONE as error:
                    await connection.invalidate()
                    await self.engine.dispose(close=False)  # the others of the pool are most likely gone too
                    raise Unavailable(f"Postgres does not answer: {error}") from error
                await connection.commit()
        except PoolTimeout as error:
            raise Unavailable("Every connection to Postgres is busy.") from error
        except DBAPIError as error:
            cause = error.orig.__cause__ if error.orig is not None else None
            if error.connection_invalidated or isinstance(cause, GONE):
                raise Unavailable(f"Postgres does not answer: {error.orig}") from error
            raise cause or error from error
        except GONE as error:
            raise Unavailable(f"Postgres does not answer: {error}") from error

    async def fetch(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        """Run `sql/<name>.sql`, which is one statement and so atomic by itself; see `again`."""
        return await again(lambda: self.fetch_once(name, *arguments))

    async def fetch_once(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        """The same, without another try."""
        if name not in hot.STATEMENTS or not self._hot.ready:
            async with self.driver() as connection:
                return await connection.fetch(statement(name), *arguments)
        try:
            return await self._hot.fetch(statement(name), *arguments)
        except GONE as error:
            raise Unavailable(f"Postgres does not answer: {error}") from error

    async def schema(self) -> Schema | None:
        """The schema as the newest migration left it, or None where there is none."""
        async with self.core() as connection:
            if not await connection.scalar(text("SELECT to_regclass('postcommit.schema_version') IS NOT NULL")):
                return None
            found = await connection.scalar(text("SELECT to_jsonb(v)::text FROM postcommit.schema_version AS v"))
        told = json.loads(found) if found else {}
        return Schema(told["version_num"], told.get("compatible_from")) if told else None

    async def require_safe(self) -> None:
        """Raises Unsafe unless an acknowledged commit is on the disk, and numbers of the outbox ascend with time.

        For a durable pool only: the sessions of another one hide what the server has."""
        async with self.core() as connection:
            for name in ("fsync", "full_page_writes", "synchronous_commit"):
                if (value := await connection.scalar(text(f"SHOW {name}"))) == "off":
                    raise Unsafe(f"Postgres has {name} = {value}, so a power cut can lose accepted tasks: turn it on.")
            cache_size = await connection.scalar(
                text("SELECT seqcache FROM pg_sequence WHERE seqrelid = 'postcommit.outbox_seq_seq'::regclass")
            )
            if cache_size != 1:
                raise Unsafe(
                    f"The outbox takes {cache_size} numbers at a time, so facts change their order: use CACHE 1."
                )

    async def close(self) -> None:
        await self._hot.close()
        await self.engine.dispose()


async def again(run: Callable[[], Awaitable[T]], after: tuple[type[Exception], ...] = AGAIN) -> T:
    """Run it again after a deadlock, a serialization failure or a lock that could not be had: nothing was written."""
    for left in reversed(range(TRIES)):
        try:
            return await run()
        except after:
            if left == 0:
                raise
            await asyncio.sleep(random.uniform(0.005, 0.05))
    raise AssertionError("unreachable")
