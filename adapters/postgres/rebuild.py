"""A fold of the log beside a reader's own table: made anew from position 1 in short transactions, then compared.

One that lasts is an unlogged table of the schema, with a cursor of its own: after a kill it goes on where it was, and a
crash of Postgres, which empties it, empties the cursor too. The other kind ends with its session, and asks for no right
that a role of the program has not."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, MetaData, PrimaryKeyConstraint, Table, Text, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import NullPool

from adapters.postgres.database import JSON_AS_TEXT, engine_of
from adapters.postgres.following import following
from adapters.postgres.readers import FOLDS, Fold
from adapters.postgres.tables import SCHEMA, cursors

LIMITS = {"statement_timeout": "10min", "lock_timeout": "30s", "idle_in_transaction_session_timeout": "60s"}
TRIES, PAUSE_S = 10, 0.2
LOCK = 0x72656275  # with the reader's number: one rebuild of a reader at a time
OF_SESSION = "pg_temp"

marks = Table(
    "cursors_rebuild",
    MetaData(schema=SCHEMA),
    Column("name", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("made_by", Text, nullable=False),  # the program and the schema: another one may fold in another way
    PrimaryKeyConstraint("name"),
    prefixes=["UNLOGGED"],
)


class Short(Exception):
    """The log ends before the reader's cursor; the message is a full sentence."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that is not the fold of the log; None stands for no row."""

    table: str
    key: dict[str, Any]
    live: dict[str, Any] | None
    rebuilt: dict[str, Any] | None

    def __str__(self) -> str:
        key = " ".join(str(value) for value in self.key.values() if value != "")
        return f"{self.table} {key}: {_shown(self.live)} → {_shown(self.rebuilt)}"


@asynccontextmanager
async def session(dsn: str, name: str) -> AsyncIterator[AsyncConnection]:
    """One connection, on which statements may take their time; whoever uses it commits. Raises the driver's errors."""
    settings = LIMITS | {"application_name": name}
    engine = engine_of(dsn, settings, poolclass=NullPool, **JSON_AS_TEXT)
    try:
        async with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        raise (error.orig.__cause__ if error.orig is not None else None) or error from error
    finally:
        await engine.dispose()


@dataclass(slots=True)
class Beside:
    """What is made beside the table of a reader, up to `position`."""

    connection: AsyncConnection
    name: str
    lasts: bool
    position: int = 0

    @property
    def fold(self) -> Fold:
        return FOLDS[self.name]

    @property
    def table(self) -> Table:
        schema = SCHEMA if self.lasts else OF_SESSION
        return self.fold.table.to_metadata(MetaData(), schema=schema, name=f"{self.fold.table.name}_rebuild")

    async def alone(self) -> bool:
        """Whether nobody else rebuilds this reader, from now until the session ends. What a killed process held is free
        a moment later."""
        taken = text(f"SELECT pg_try_advisory_lock({LOCK}, hashtext(:name))")
        for left in reversed(range(TRIES)):
            got = await self.connection.scalar(taken, {"name": self.name})
            await self.connection.commit()
            if got:
                return True
            if left:
                await asyncio.sleep(PAUSE_S)
        return False

    async def begin(self, made_by: str) -> None:
        """Go on where an earlier one by the same program was ended, else begin at position 0."""
        if self.lasts:
            await self.connection.run_sync(marks.create, checkfirst=True)
            query = select(marks.c.position).where(marks.c.name == self.name, marks.c.made_by == made_by)
            self.position = await self.connection.scalar(query) or 0
        if self.position == 0:
            await self._make(made_by)
        await self.connection.commit()

    async def step(self, until: int, limit: int) -> None:
        """Fold the next facts, at most `limit` and none after `until`, in the caller's transaction. Raises Short."""
        await self.connection.execute(text("SELECT"))  # begins the transaction that the driver below is in
        recorded = await following(self.connection, self.position, min(limit, until - self.position))
        if not recorded:
            raise Short(f"The log ends at {self.position}, before the cursor {until} of the reader {self.name}.")
        await self.fold.apply(self.connection, recorded, self.table)
        assert recorded[-1].position is not None, "The ledger tells of numbered facts only."
        self.position = recorded[-1].position
        if self.lasts:
            moved = marks.update().where(marks.c.name == self.name)
            await self.connection.execute(moved.values(position=self.position))

    async def live(self, lock: bool = False) -> int:
        """The reader's own cursor; its table is exactly there. `lock` makes the reader wait."""
        query = select(cursors.c.position).where(cursors.c.name == self.name)
        return int((await self.connection.execute(query.with_for_update() if lock else query)).scalar_one())

    async def differences(self, most: int) -> tuple[int, list[Difference]]:
        """How many rows differ, and the first of them."""
        live, beside, keys = self._names()
        rows = await self.connection.execute(
            text(
                f"SELECT to_jsonb(l)::text AS live, to_jsonb(b)::text AS rebuilt, count(*) OVER () AS found "
                f"FROM {live} AS l FULL JOIN {beside} AS b USING ({', '.join(keys)}) "
                f"WHERE to_jsonb(l) IS DISTINCT FROM to_jsonb(b) ORDER BY {', '.join(keys)} LIMIT :most"
            ),
            {"most": most},
        )
        found = rows.all()
        named = [_difference(self.fold.table.name, keys, row.live, row.rebuilt) for row in found]
        return (found[0].found if found else 0), named

    async def mend(self) -> None:
        """Replace the rows that differ; whoever reads meanwhile sees all of the old ones, or all of the new."""
        live, beside, keys = self._names()
        same = " AND ".join(f"b.{key} = l.{key}" for key in keys)
        columns = ", ".join(self.fold.table.columns.keys())
        for statement in (
            f"DELETE FROM {live} AS l WHERE NOT EXISTS "
            f"(SELECT FROM {beside} AS b WHERE {same} AND to_jsonb(l) IS NOT DISTINCT FROM to_jsonb(b))",
            f"INSERT INTO {live} ({columns}) SELECT {columns} FROM {beside} AS b WHERE NOT EXISTS "
            f"(SELECT FROM {live} AS l WHERE {same})",
        ):
            await self.connection.execute(text(statement))

    async def analyze(self) -> None:
        """Let the planner know how large it has become."""
        await self.connection.execute(text(f"ANALYZE {self.table.fullname}"))
        await self.connection.commit()

    async def drop(self) -> None:
        await self.connection.execute(text(f"DROP TABLE {self.table.fullname}"))
        if self.lasts:
            await self.connection.execute(marks.delete().where(marks.c.name == self.name))

    async def _make(self, made_by: str) -> None:
        live, beside, keys = self._names()
        await self.connection.execute(text(f"DROP TABLE IF EXISTS {beside}"))
        kind = "UNLOGGED" if self.lasts else "TEMP"
        made = f"CREATE {kind} TABLE {beside} (LIKE {live}, PRIMARY KEY ({', '.join(keys)}))"
        await self.connection.execute(text(made))
        if self.fold.first:
            await self.connection.execute(self.table.insert(), list(self.fold.first))
        if self.lasts:
            began = {"name": self.name, "position": 0, "made_by": made_by}
            query = insert(marks).values(began)
            await self.connection.execute(query.on_conflict_do_update(index_elements=["name"], set_=began))

    def _names(self) -> tuple[str, str, list[str]]:
        return self.fold.table.fullname, self.table.fullname, self.fold.table.primary_key.columns.keys()


def _difference(table: str, keys: Sequence[str], live: str | None, rebuilt: str | None) -> Difference:
    rows = [msgspec.json.decode(row) if row is not None else None for row in (live, rebuilt)]
    key = {name: next(row for row in rows if row is not None)[name] for name in keys}
    rest = [{name: row[name] for name in row if name not in keys} if row is not None else None for row in rows]
    return Difference(table, key, *rest)


def _shown(row: dict[str, Any] | None) -> str:
    if row is None:
        return "no row"
    return str(next(iter(row.values()))) if len(row) == 1 else msgspec.json.encode(row).decode()
