"""Questions that the REST API asks: of tasks, of the log, of what readers have made of it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import BigInteger, ColumnElement, FromClause, Select, Text, cast, func, literal, literal_column, select

from adapters.postgres import codec
from adapters.postgres.answers import first_answer
from adapters.postgres.database import Database
from adapters.postgres.lane import Full, Lane
from adapters.postgres.ledger import epoch, head
from adapters.postgres.readers import audited
from adapters.postgres.tables import ACTOR_OF_EVENT, NEW_THINGS, audit, cursors, events, ledger, tasks
from domain import audit as audits
from domain import search
from domain.charts import Figure
from domain.log import Answer, Overloaded, Recorded, stream_of
from domain.outcome import Progress
from domain.task import Status, Task
from domain.views import HEAD, Balance, Gauge, Glance, Line, Seen, Wanted

MOST_BYTES = 8 * 1024 * 1024  # of requests and results in one page
NEW_THING: ColumnElement[bool] = literal_column(NEW_THINGS)  # as the index has it
SKEW = timedelta(minutes=1)  # between the clock of an id and that of its row
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
MOST_COUNTED = 100_000  # rows that are counted for a scrape
MANY = 10_000  # positions that such a skew may shift
RAW = ("data", "personal", "meta")  # JSON that is passed on as it is stored
ANNOUNCED = ("upload.begun", "batch.gathered")  # facts that say how many bytes somebody sends


class PostgresQueries:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._tasks: Lane[UUID, Seen | None] = Lane(self._get, most=50)

    async def task(self, id: UUID) -> Seen | None:
        """The task as it stands. Questions that come while one is in flight are asked together."""
        try:
            return await self._tasks.do(id)
        except Full as error:
            raise Overloaded("Too many ask at once.") from error

    async def seen(self, ids: Sequence[UUID]) -> list[Seen]:
        """Those of the tasks that exist."""
        return [seen for seen in await self._get(ids) if seen is not None] if ids else []

    async def chain(self, id: UUID, most: int) -> dict[UUID, Task]:
        """The task, and whatever needs it, directly or through others; at most so many."""
        rows = await self._database.fetch("find_dependents", id, most)
        return {codec.uuid(row["id"]): codec.task(row) for row in rows}

    async def last_retries(self, ids: Sequence[UUID]) -> list[tuple[UUID, Task]]:
        """Each of the tasks as it was retried last, in their order."""
        rows = await self._database.fetch("find_last_retries", list(ids))
        return [(codec.uuid(row["id"]), codec.task(row)) for row in rows]

    async def things(self, created: str, owner: str | None, after: UUID | None, limit: int) -> list[list[Recorded]]:
        """The streams that begin with a fact of this name (and of this actor), newest first, behind one of them that is
        named by its first fact."""
        actor: ColumnElement[str] = literal_column(ACTOR_OF_EVENT)
        first = select(events.c.id, events.c.stream).where(events.c.name == created, NEW_THING)
        if owner is not None:
            first = first.where(actor == owner)
        if after is not None:
            first = first.where(events.c.id < after)
        page = first.order_by(events.c.id.desc()).limit(limit).subquery()
        query = (
            select(ledger.c.position, events)
            .join(page, page.c.stream == events.c.stream)
            .outerjoin(ledger, ledger.c.event == events.c.id)
            .order_by(page.c.id.desc(), events.c.version)
        )
        found = [codec.recorded(row.values()) for row in await self._rows(query)]
        return [list(facts) for _, facts in groupby(found, key=lambda one: one.fact.stream)]

    async def glance(self, ids: Sequence[UUID]) -> dict[UUID, Glance]:
        """A glance at many tasks; an id without a task is missing."""
        rows = await self._database.fetch("glance_tasks", list(ids))
        return {codec.uuid(row["id"]): _glance(row) for row in rows}

    async def tasks(self, wanted: Wanted) -> tuple[list[Seen], bool]:
        """The tasks that are wanted, no more once they have 8 MiB, and whether others follow."""
        limited = (
            select(tasks, ledger.c.position)
            .outerjoin(ledger, ledger.c.event == tasks.c.last_event)
            .where(*_conditions(wanted))
            .order_by(tasks.c.id.desc())
            .limit(wanted.limit + 1)
            .subquery()
        )
        newest_first = limited.c.id.desc()
        sized = select(
            limited,
            func.count().over().label("found"),
            func.sum(_bytes(limited)).over(order_by=newest_first, rows=(None, -1)).label("bytes_before"),
        ).subquery()
        fits = func.coalesce(sized.c.bytes_before, 0) < MOST_BYTES
        rows = await self._rows(select(sized).where(fits).order_by(sized.c.id.desc()).limit(wanted.limit))
        return [_seen(row) for row in rows], bool(rows) and rows[0]["found"] > len(rows)

    async def events(self, after: int, limit: int) -> list[Line]:
        """The facts at the positions `after + 1`, `after + 2`, …, at most `limit`, no more once they have 8 MiB."""
        rows = await self._database.fetch("read_ledger", after, limit)
        return [_line(row) for row in rows]

    async def epoch(self) -> UUID:
        """The id of the log's present history: another one means that positions have changed their facts."""
        return UUID(await epoch(self._database))

    async def positions(self, ids: Sequence[UUID]) -> dict[UUID, int]:
        """Where these events are in the log: 0 for one without a position as yet; unknown ids are missing."""
        query = select(events.c.id, func.coalesce(ledger.c.position, 0).label("position"))
        rows = await self._rows(query.outerjoin(ledger, ledger.c.event == events.c.id).where(events.c.id.in_(ids)))
        return {codec.uuid(row["id"]): row["position"] for row in rows}

    async def cursors(self, names: Sequence[str]) -> dict[str, int]:
        """How far these readers are; HEAD is the end of the log itself."""
        told = await self._rows(select(cursors.c.name, cursors.c.position).where(cursors.c.name.in_(names)))
        return {row["name"]: row["position"] for row in told} | {HEAD: await head(self._database)}

    async def audit(self, wanted: audits.Wanted) -> list[audits.Line]:
        """The audit trail after a position, in order."""
        table = audit.c
        query = select(*(table[name] for name in audits.Line.__struct_fields__)).where(table.position > wanted.after)
        for name in ("subject", "actor", "action", "request_id"):
            if (value := getattr(wanted, name)) is not None:
                query = query.where(table[name] == value)
        if wanted.since is not None:  # positions ascend with time, but for the clocks of several machines
            first = select(table.position).where(table.at >= _before(wanted.since)).order_by(table.at).limit(1)
            query = query.where(table.at >= wanted.since, table.position >= first.scalar_subquery() - MANY)
        if wanted.until is not None:
            last = select(table.position).where(table.at < _behind(wanted.until)).order_by(table.at.desc()).limit(1)
            query = query.where(table.at < wanted.until, table.position <= last.scalar_subquery() + MANY)
        return [audited(row) for row in await self._rows(query.order_by(table.position).limit(wanted.limit))]

    async def figures(self, per: str, first: datetime, last: datetime, kind: str | None) -> tuple[int, list[Figure]]:
        """The position of the analytics, and the sums of the buckets that begin from `first` to `last`, and of all."""
        rows = await self._database.fetch("read_figures", per, first, last, kind)
        told = [Figure(**{**row, "value": int(row["value"])}) for row in rows]
        [position] = [one.value for one in told if one.figure == "position"]
        return position, [one for one in told if one.figure != "position"]

    async def found(self, wanted: search.Wanted) -> list[search.Found]:
        """What these words find, the best first."""
        after = (Decimal(wanted.after[0]), wanted.after[1]) if wanted.after is not None else (None, None)
        categories = list(wanted.categories) or None
        rows = await self._database.fetch(
            "search_documents", wanted.words, wanted.owner, categories, *after, wanted.limit
        )
        return [search.Found(**{**row, "id": codec.uuid(row["id"])}) for row in rows]

    async def balance(self) -> Balance:
        [row] = await self._database.fetch("count_balance")
        ended = row["complete"] + row["failed"] + row["cancelled"]
        return Balance(**row, difference=row["accepted"] - ended - row["open"])

    async def gauges(self, queues: Sequence[str]) -> list[Gauge]:
        """Numbers of the database as it is now; `queues` are those whose oldest task is told."""
        rows = await self._database.fetch("read_gauges", MOST_COUNTED, list(queues))
        return [Gauge(row["name"], tuple(row["labels"]), row["value"]) for row in rows]

    async def announced(self, owner: str, since: datetime, until: UUID | None) -> int:
        """The bytes of all uploads that this key announced since then; before that of `until`, if one is named."""
        actor: ColumnElement[str] = literal_column(ACTOR_OF_EVENT)
        size: ColumnElement[int] = cast(literal_column("data ->> 'size_bytes'"), BigInteger)
        begun = select(func.coalesce(func.sum(size), 0)).where(
            events.c.name.in_(ANNOUNCED),
            NEW_THING,
            actor == owner,
            events.c.id >= id_at(since),
        )
        if until is not None:
            first = select(events.c.id).where(events.c.stream == stream_of("upload", until), events.c.version == 1)
            begun = begun.where(events.c.id < first.scalar_subquery())
        async with self._database.core() as connection:
            return int(await connection.scalar(begun) or 0)

    async def answer(self, holder: str, route: str, key: str) -> tuple[bytes, Answer] | None:
        """The fingerprint and the first answer under an idempotency key."""
        return await first_answer(self._database, holder, route, key)

    async def _get(self, ids: Sequence[UUID]) -> list[Seen | None]:
        rows = await self._database.fetch("get_tasks", list(ids))
        found = {seen.id: seen for seen in map(_seen, rows)}
        return [found.get(id) for id in ids]

    async def _rows(self, query: Select[Any]) -> Sequence[Any]:
        async with self._database.core() as connection:
            return list((await connection.execute(query)).mappings())


def _bytes(rows: FromClause) -> ColumnElement[int]:
    columns = (rows.c.request, rows.c.result)
    return sum((func.coalesce(func.octet_length(cast(column, Text)), 0) for column in columns), start=literal(0))


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    table = tasks.c
    conditions = {
        "status": table.status.in_,
        "kind": table.kind.__eq__,
        "queue": table.queue.__eq__,
        "by": table.by.__eq__,
        "owner": table.by.__eq__,
        "since": table.created_at.__ge__,
        "until": table.created_at.__lt__,
        "after": table.id.__lt__,
    }
    asked = {name: getattr(wanted, name) for name in conditions}
    found = [conditions[name](value) for name, value in asked.items() if value not in (None, ())]
    if wanted.since is not None:  # ids begin with the time, so their index finds it
        found.append(table.id >= id_at(_before(wanted.since)))
    if wanted.until is not None:
        found.append(table.id < id_at(_behind(wanted.until)))
    return found


def _before(time: datetime) -> datetime:
    return time - min(SKEW, time - FIRST)


def _behind(time: datetime) -> datetime:
    return time + min(SKEW, LAST - time)


def id_at(time: datetime) -> UUID:
    """The least UUIDv7 (RFC 9562) of that millisecond."""
    return UUID(int=(min(max(int(time.timestamp() * 1000), 0), 2**48 - 1) << 80) | 0x7 << 76 | 0x2 << 62)


def _seen(row: Any) -> Seen:
    return Seen(id=codec.uuid(row["id"]), task=codec.task(row), position=row["position"])


def _glance(row: Any) -> Glance:
    progress = row["progress"]
    return Glance(
        status=Status(row["status"]),
        version=row["version"],
        progress=msgspec.json.decode(progress, type=Progress) if progress is not None else None,
    )


def _line(row: Any) -> Line:
    raw = {name: msgspec.Raw(row[name].encode()) if row[name] is not None else None for name in RAW}
    return Line(**{**row, "id": codec.uuid(row["id"]), **raw})
