"""Readers: what a fold of the log writes, and its cursor, in one transaction. Applying a fact twice is impossible."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import Table, any_, bindparam, column, func, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres import codec
from adapters.postgres.database import Database, statement
from adapters.postgres.following import driver_of, following
from adapters.postgres.search import apply_search
from adapters.postgres.tables import analytics, audit, balance, cursors, search
from adapters.postgres.tables import holds as held_files
from adapters.postgres.tables import made as made_files
from domain import audit as audits
from domain import balance as balances
from domain import figures, holds, made, reading
from domain.log import Recorded

Apply: TypeAlias = Callable[[AsyncConnection, Sequence[Recorded]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fold:
    """A pure fold of the log into a table; `apply` writes into that table, or into one that was made like it."""

    table: Table
    apply: Callable[[AsyncConnection, Sequence[Recorded], Table], Awaitable[None]]
    first: tuple[Mapping[str, Any], ...] = ()  # the rows before the first fact


async def apply_audit(connection: AsyncConnection, recorded: Sequence[Recorded], table: Table) -> None:
    lines = [audits.line(one) for one in recorded]
    await connection.execute(table.insert(), [_row(line) for line in lines])


def _row(line: audits.Line) -> dict[str, object]:
    values = {name: getattr(line, name) for name in line.__struct_fields__}
    return values | {name: codec.optional(values[name]) for name in ("before", "after")}


def audited(row: Any) -> audits.Line:
    """A line of the audit from its row."""
    values = {name: msgspec.json.decode(row[name]) if row[name] is not None else None for name in ("before", "after")}
    return audits.Line(**{**row, **values})


async def apply_balance(connection: AsyncConnection, recorded: Sequence[Recorded], table: Table) -> None:
    for name, more in sorted(balances.counts(recorded).items()):
        await connection.execute(table.update().where(table.c.name == name).values(count=table.c.count + more))


async def apply_analytics(connection: AsyncConnection, recorded: Sequence[Recorded], table: Table) -> None:
    """One statement, and before it one where attempts end that began in an earlier step."""
    more = figures.fold(recorded, await _running(connection, figures.began_before(recorded)))
    if more:
        keys = sorted(more)
        values = {name: [getattr(key, name) for key in keys] for name in figures.Key._fields}
        await connection.execute(_add(table), values | {"value": [more[key] for key in keys]})


async def _running(connection: AsyncConnection, ended: Mapping[str, int]) -> dict[str, datetime]:
    """When the attempts began that end at these versions of their streams. The log itself knows, so a fold that begins
    anywhere gives the same."""
    if not ended:
        return {}
    raw = await driver_of(connection)
    rows = await raw.fetch(statement("find_running"), list(ended), list(ended.values()))
    return {row["stream"]: row["at"] for row in rows}


async def apply_files(connection: AsyncConnection, recorded: Sequence[Recorded], table: Table) -> None:
    released, held = holds.changes(recorded)
    if released:
        gone = bindparam("gone", sorted(released), type_=ARRAY(table.c.stream.type))
        await connection.execute(table.delete().where(table.c.stream == any_(gone)))
    if held:
        columns = dict(zip(holds.Hold._fields, map(list, zip(*sorted(held), strict=True)), strict=True))
        await connection.execute(_rows_of(table, tuple(columns)).on_conflict_do_nothing(), columns)


async def apply_made(connection: AsyncConnection, recorded: Sequence[Recorded], table: Table) -> None:
    if found := made.results(recorded):
        rows = [
            {"source": source, "operation": operation, "result": codec.text(result)}
            for (source, operation), result in sorted(found.items())
        ]
        added = insert(table).values(rows)
        again = added.on_conflict_do_update(
            index_elements=["source", "operation"], set_={"result": added.excluded.result}
        )
        await connection.execute(again)


def _rows_of(table: Table, names: Sequence[str]) -> Any:
    """An insert of as many rows as its arrays are long: a parameter for each value would soon be too many."""
    types = {name: table.c[name].type for name in names}
    more = (
        func.unnest(*(bindparam(name, type_=ARRAY(type)) for name, type in types.items()))
        .table_valued(*(column(name, type) for name, type in types.items()), name="more")
        .render_derived()
    )
    return insert(table).from_select(list(types), select(*more.c))


def _add(table: Table) -> Any:
    added = _rows_of(table, [one.name for one in table.columns])
    return added.on_conflict_do_update(
        index_elements=list(figures.Key._fields), set_={"value": table.c.value + added.excluded.value}
    )


FOLDS: dict[str, Fold] = {
    "audit": Fold(audit, apply_audit),
    "balance": Fold(balance, apply_balance, tuple({"name": name, "count": 0} for name in balances.NAMES)),
    "analytics": Fold(analytics, apply_analytics),
    "files": Fold(held_files, apply_files),
    "made": Fold(made_files, apply_made),
    "search": Fold(search, apply_search),
}
RELEASE = "release"
READERS = (*FOLDS, RELEASE)
MOST = 500  # facts of one step


async def step(database: Database, name: str, apply: Apply | None = None, limit: int = MOST) -> int:
    """Apply the next facts after the reader's cursor; answers how many. Without `apply` it is the reader's own fold.

    Raises UnknownEvent where a newer program wrote a fact: the reader then stands still, aloud, rather than skip it."""
    apply = apply or _folding(FOLDS[name])
    async with database.core() as connection:
        return await reading.step(CursorRow(connection, name), partial(apply, connection), limit)


def _folding(fold: Fold) -> Apply:
    return lambda connection, recorded: fold.apply(connection, recorded, fold.table)


@dataclass(frozen=True, slots=True)
class CursorRow:
    """The port `domain.reading.Reading`: two processes of one reader take turns at the cursor's row."""

    connection: AsyncConnection
    name: str

    async def position(self) -> int:
        query = select(cursors.c.position).where(cursors.c.name == self.name).with_for_update()
        return int((await self.connection.execute(query)).scalar_one())

    async def following(self, position: int, limit: int) -> Sequence[Recorded]:
        return await following(self.connection, position, limit)

    async def moved(self, position: int) -> None:
        moved = cursors.update().where(cursors.c.name == self.name)
        await self.connection.execute(moved.values(position=position, at=func.clock_timestamp()))
