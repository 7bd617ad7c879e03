"""What SQL alone cannot compare: rows and readers against a fold of the log."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any
from uuid import UUID

from msgspec.structs import replace
from sqlalchemy import select

from adapters.postgres import codec
from adapters.postgres.codec import UNREADABLE
from adapters.postgres.database import Database
from adapters.postgres.keys import listed
from adapters.postgres.log import PostgresLog
from adapters.postgres.readers import audited
from adapters.postgres.tables import audit, cursors, tasks
from adapters.postgres.tasks import PostgresTasks
from domain import audit as audits
from domain import key, task
from domain.log import Recorded, stream_of
from domain.task import Status, Task
from infra.rebuild import Unfoldable, compared

CHUNK = 500  # short statements: no snapshot stays open


async def rows_differing_from_their_streams(database: Database) -> AsyncGenerator[str, None]:
    """The tasks whose row is not the fold of their stream, as sentences."""
    async for ids in _task_ids(database):
        for id in await _suspects(database, ids):
            for _ in range(3):  # between two reads the task may move on
                if (wrong := await _differing(database, id)) is None:
                    break
            else:
                yield f"task {id}: {wrong}"


async def _suspects(database: Database, ids: Sequence[UUID]) -> Sequence[UUID]:
    """Those that want a look of their own. Two statements read all of them, and between these a task may move on."""
    try:
        rows = await PostgresTasks(database).get(ids)
        streams = await PostgresLog(database).streams([stream_of("task", id) for id in ids])
    except UNREADABLE:
        return ids
    facts = {id: streams.get(stream_of("task", id), []) for id in ids}
    return [id for id in ids if id not in rows or not _same(rows[id], _folded(facts[id]))]


async def _differing(database: Database, id: UUID) -> str | None:
    """How the row differs from the fold of its stream; None where it does not."""
    try:
        row = (await PostgresTasks(database).get([id])).get(id)
    except UNREADABLE as error:
        return f"the row cannot be read: {_told(error)}"
    try:
        folded = _folded(await PostgresLog(database).read(stream_of("task", id)))
    except UNREADABLE as error:
        return f"the stream cannot be read: {_told(error)}"
    return None if row is not None and _same(row, folded) else f"row {_shown(row)}, stream {_shown(folded)}"


async def keys_differing_from_their_streams(database: Database) -> AsyncGenerator[str, None]:
    """The keys of the REST API whose row is not what the log tells of them: nobody makes or revives one by hand."""
    for row in await listed(database):
        stream = stream_of("key", key.id_of(row.name))
        try:
            events = [one.fact.event for one in await PostgresLog(database).read(stream)]
        except UNREADABLE as error:
            yield f"key {row.name}: the stream cannot be read: {_told(error)}"
            continue
        found = key.fold(event for event in events if isinstance(event, key.Event))
        told, is_so = (found.scope, found.revoked), (row.scope, row.revoked_at is not None)
        if told != is_so:
            yield f"key {row.name}: row (scope, revoked) {is_so}, stream {told}"


async def audit_differing_from_the_log(database: Database) -> AsyncGenerator[str, None]:
    """The positions up to the reader's cursor at which the audit is not the fold of the log."""
    after = 0
    async with database.core() as connection:
        cursor = (await connection.execute(select(cursors.c.position).where(cursors.c.name == "audit"))).scalar_one()
    while after < cursor:
        facts = await database.fetch("read_ledger", after, min(CHUNK, cursor - after))
        if not facts:
            yield f"the ledger ends at {after}, before the reader's cursor {cursor}"
            return
        lines = await _audit(database, [fact["position"] for fact in facts])
        for fact in facts:
            if wrong := _unlike(lines.get(fact["position"]), fact):
                yield f"audit at position {fact['position']}: {wrong}"
        after = facts[-1]["position"]


async def reader_differing_from_the_log(database: Database, name: str) -> AsyncGenerator[str, None]:
    """The rows of a reader that are not the fold of the log, as sentences; it is folded in Postgres, beside them."""
    try:
        verdict = await compared(database.dsn, name)
    except Unfoldable as error:
        yield str(error)
        return
    for difference in verdict.named:
        yield str(difference)
    if verdict.differences > len(verdict.named):
        yield f"and {verdict.differences - len(verdict.named)} others"


async def _audit(database: Database, positions: Sequence[int]) -> dict[int, audits.Line]:
    async with database.core() as connection:
        found = await connection.execute(select(audit).where(audit.c.position.in_(positions)))
        return {row["position"]: audited(row) for row in found.mappings()}


def _unlike(found: audits.Line | None, fact: Any) -> str | None:
    """How the line of the audit differs from what the fact says; None where it does not."""
    try:
        line = audits.line(codec.recorded(fact))
    except UNREADABLE as error:
        return f"the fact cannot be read: {_told(error)}"
    return None if found == line else f"{found}, and the log says {line}"


async def _task_ids(database: Database) -> AsyncIterator[list[UUID]]:
    after = UUID(int=0)
    while True:
        async with database.core() as connection:
            found = await connection.execute(
                select(tasks.c.id).where(tasks.c.id > after).order_by(tasks.c.id).limit(CHUNK)
            )
            ids = [UUID(str(id)) for id in found.scalars()]
        if not ids:
            return
        yield ids
        after = ids[-1]


def _folded(facts: Sequence[Recorded]) -> Task:
    """The task as its stream tells it."""
    return task.fold([(one.fact.event, one.fact.at) for one in facts if isinstance(one.fact.event, task.Event)])


def _same(row: Task, folded: Task) -> bool:
    """Progress in the row is finer than in the log while the task runs."""
    if row.status is Status.IN_PROGRESS:
        folded = replace(folded, progress=row.progress)
    return row == folded


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _shown(state: Task | None) -> str:
    return "missing" if state is None else f"{state.status} at version {state.version}"
