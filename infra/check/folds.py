"""What SQL alone cannot compare: rows and readers against a fold of the log."""

from collections.abc import AsyncIterator
from uuid import UUID

from msgspec.structs import replace
from sqlalchemy import select

from adapters.postgres.database import Database
from adapters.postgres.log import PostgresLog
from adapters.postgres.tables import audit, cursors, tasks
from adapters.postgres.tasks import PostgresTasks
from domain import audit as audits
from domain import task
from domain.log import Recorded, stream_of
from domain.task import Status, Task

CHUNK = 500  # short statements: no snapshot stays open


async def rows_differing_from_their_streams(database: Database) -> list[str]:
    """The tasks whose row is not the fold of their stream, as sentences."""
    log, rows = PostgresLog(database), PostgresTasks(database)
    wrong: list[str] = []
    async for ids in _task_ids(database):
        for id in ids:
            for attempt in (1, 2, 3):  # between two reads the task may move on
                before = (await rows.get([id])).get(id)
                facts = [(r.fact.event, r.fact.at) for r in await log.read(stream_of("task", id))]
                folded = task.fold([(e, at) for e, at in facts if isinstance(e, task.Event)])
                if before is not None and _same(before, folded):
                    break
                if attempt == 3:
                    wrong.append(f"task {id}: row {_shown(before)}, stream {_shown(folded)}")
    return wrong


async def audit_differing_from_the_log(database: Database) -> list[str]:
    """The positions up to the reader's cursor at which the audit is not the fold of the log."""
    log, after = PostgresLog(database), 0
    wrong: list[str] = []
    async with database.core() as connection:
        cursor = (await connection.execute(select(cursors.c.position).where(cursors.c.name == "audit"))).scalar_one()
    while after < cursor:
        recorded = [one for one in await log.ledger(after, CHUNK) if (one.position or 0) <= cursor]
        if not recorded:
            return [*wrong, f"the ledger ends at {after}, before the reader's cursor {cursor}"]
        wrong += await _compared(database, recorded)
        after = recorded[-1].position or 0
    return wrong


async def _compared(database: Database, recorded: list[Recorded]) -> list[str]:
    positions = [one.position for one in recorded]
    async with database.core() as connection:
        found = await connection.execute(select(audit).where(audit.c.position.in_(positions)))
        lines = {row.position: row for row in found}
    wrong = []
    for one in recorded:
        line = audits.line(one)
        row = lines.get(line.position)
        if row is None or any(getattr(row, name) != getattr(line, name) for name in line.__struct_fields__):
            wrong.append(f"audit at position {line.position}: {row}, and the log says {line}")
    return wrong


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


def _same(row: Task, folded: Task) -> bool:
    """Progress in the row is finer than in the log while the task runs."""
    if row.status is Status.IN_PROGRESS:
        folded = replace(folded, progress=row.progress)
    return row == folded


def _shown(state: Task | None) -> str:
    return "missing" if state is None else f"{state.status} at version {state.version}"
