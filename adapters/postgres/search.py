"""The index of the search: kept up to date by a reader, and built anew beside itself by a task.

The new one is folded from position 1 in short transactions, each of which also says how far it is: whoever begins again
goes on there. At last, while the reader waits, it is brought to where the reader is, counted, and put in the old one's
place; a question that comes in this moment waits for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Table, delete, func, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres.database import Database
from adapters.postgres.following import following
from adapters.postgres.ledger import head
from adapters.postgres.tables import cursors, events, ledger, search, search_next, search_rebuild
from domain.log import Recorded
from domain.search import Overtaken, documents

NAME = "search"
CHUNK = 2_000  # facts in one transaction
COUNT_S = 600  # for which counting may take: it reads the whole log
MADE = ("account.registered", "item.created", "order.created", "video.created")
GONE = ("item.deleted", "video.deleted")
ALONE = select(func.pg_advisory_xact_lock(func.hashtext("postcommit search_rebuild")))  # where there may be no row yet


class Miscounted(Exception):
    """The new index has not as many documents as the log tells of; the message says how many."""


class Built(NamedTuple):
    position: int
    documents: int
    differences: int


async def apply_search(connection: AsyncConnection, recorded: Sequence[Recorded], table: Table) -> None:
    """Bring the table from before these facts to behind them."""
    found = documents(recorded)
    if gone := [name for name, document in found.items() if document is None]:
        await connection.execute(delete(table).where(tuple_(table.c.category, table.c.id).in_(gone)))
    for (category, id), document in sorted(found.items(), key=lambda one: one[0]):
        if document is None:
            continue
        told = {"title": document.title, "body": document.body, "at": document.at}
        if document.owner is None:
            same = (table.c.category == category) & (table.c.id == id)
            await connection.execute(table.update().where(same).values(**told))
        else:
            new = insert(table).values(category=category, id=id, owner=document.owner, **told)
            await connection.execute(new.on_conflict_do_update(index_elements=["category", "id"], set_=told))


@dataclass(frozen=True, slots=True)
class Rebuild:
    """One task that builds the index anew."""

    database: Database
    task: UUID

    async def begin(self) -> int:
        """The position up to which an earlier attempt of this task came; the new index is empty before the first."""
        async with self.database.core() as connection:
            await connection.execute(ALONE)
            query = select(search_rebuild.c.task, search_rebuild.c.position).with_for_update()
            found = (await connection.execute(query)).first()
            if found is not None and found.task == self.task:
                return int(found.position)
            await connection.execute(text(f"TRUNCATE {search_next.fullname}"))
            began = {"one": True, "task": self.task, "position": 0}
            row = insert(search_rebuild).values(began)
            await connection.execute(row.on_conflict_do_update(index_elements=["one"], set_=began))
            return 0

    async def step(self) -> tuple[int, int]:
        """Fold the next facts: how far it is then, and where the log ends. Raises Overtaken."""
        async with self.database.core() as connection:
            position = await self._fold(connection, CHUNK)
        return position, await head(self.database)

    async def swap(self) -> Built:
        """Put the new index in the old one's place. Raises Overtaken, Miscounted: the next attempt begins anew then."""
        try:
            return await self._swap()
        except Miscounted:
            async with self.database.core() as connection:
                await connection.execute(search_rebuild.delete().where(search_rebuild.c.task == self.task))
            raise

    async def _swap(self) -> Built:
        async with self.database.core() as connection:  # the long count goes before, while nobody waits
            await connection.execute(text(f"SET LOCAL statement_timeout = '{COUNT_S}s'"))
            begin = await self._position(connection)
            expected = await _expected(connection, 0, begin)
        async with self.database.core() as connection:
            await connection.execute(text(f"SET LOCAL statement_timeout = '{COUNT_S}s'"))
            query = select(cursors.c.position).where(cursors.c.name == NAME).with_for_update()
            end = int((await connection.execute(query)).scalar_one())
            position = await self._position(connection)
            while position < end:
                position = await self._fold(connection, min(CHUNK, end - position))
            await _behind(connection, position, end)
            end = max(end, position)
            count = int(await connection.scalar(select(func.count()).select_from(search_next)) or 0)
            expected += await _expected(connection, begin, end)
            if count != expected:
                raise Miscounted(f"The new index has {count} documents, and the log tells of {expected}.")
            differences = await _differences(connection)
            await connection.execute(text("SELECT postcommit.swap_search()"))
            await connection.execute(search_rebuild.delete())
        return Built(end, count, differences)

    async def clear(self) -> None:
        """The old index takes no room any more, unless another rebuild has begun."""
        async with self.database.core() as connection:
            await connection.execute(ALONE)
            if await connection.scalar(select(search_rebuild.c.task).with_for_update()) is None:
                await connection.execute(text(f"TRUNCATE {search_next.fullname}"))

    async def _position(self, connection: AsyncConnection) -> int:
        query = select(search_rebuild.c.position).where(search_rebuild.c.task == self.task).with_for_update()
        found = await connection.scalar(query)
        if found is None:
            raise Overtaken("Another rebuild of the search has begun, and goes on instead of this one.")
        return int(found)

    async def _fold(self, connection: AsyncConnection, most: int) -> int:
        position = await self._position(connection)
        recorded = await following(connection, position, most)
        if recorded:
            await apply_search(connection, recorded, search_next)
            position = recorded[-1].position or position
            await connection.execute(search_rebuild.update().values(position=position))
        return position


async def _behind(connection: AsyncConnection, position: int, end: int) -> None:
    """The new index may be further than the reader: then the reader's is brought there, too, in this transaction."""
    at = end
    while at < position:
        recorded = await following(connection, at, min(CHUNK, position - at))
        await apply_search(connection, recorded, search)
        at = recorded[-1].position or at
        moved = cursors.update().where(cursors.c.name == NAME)
        await connection.execute(moved.values(position=at, at=func.clock_timestamp()))


async def _expected(connection: AsyncConnection, after: int, end: int) -> int:
    """How many things there came to be between two positions, counted in another way than by folding."""

    async def count(names: Sequence[str]) -> int:
        query = (
            select(func.count())
            .select_from(events.join(ledger, ledger.c.event == events.c.id))
            .where(events.c.name.in_(names), ledger.c.position > after, ledger.c.position <= end)
        )
        return int(await connection.scalar(query) or 0)

    return await count(MADE) - await count(GONE)


async def _differences(connection: AsyncConnection) -> int:
    query: Any = text(
        "SELECT count(*) FROM postcommit.search AS o FULL JOIN postcommit.search_next AS n USING (category, id) "
        "WHERE o IS DISTINCT FROM n"
    )
    return int(await connection.scalar(query) or 0)
