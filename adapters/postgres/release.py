"""Waiting tasks are released here: by one reader of the log, in its order, with its cursor in the same transaction.

A task begins to wait, and the tasks that it needs end, in transactions that know nothing of one another. Whichever of
their facts comes later in the log finds the other's row written."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

import asyncpg

from adapters.postgres import codec, settle
from adapters.postgres.database import statement
from domain import compose, task
from domain.compose import NewId
from domain.holding import Change
from domain.log import Meta, Recorded
from domain.release import SYSTEM, release
from domain.task import Task

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
AT_ONCE = 500  # tasks in one statement
ENDS = (task.Completed, task.Failed, task.Cancelled)
FIRST = UUID(int=0)


async def release_waiting(
    connection: Connection, recorded: Sequence[Recorded], now: datetime, new_id: NewId
) -> dict[str, list[UUID]]:
    """Release what these facts set free, within the caller's transaction; answers with what was queued, by queue."""
    began = [_task(one) for one in recorded if isinstance(one.fact.event, task.Waiting)]
    ended = [_task(one) for one in recorded if isinstance(one.fact.event, ENDS)]
    queued: dict[str, list[UUID]] = {}
    if began:
        await _release(connection, await _tasks(connection, began), now, new_id, queued)
    async for page in _waiting(connection, ended):
        await _release(connection, page, now, new_id, queued)
    return queued


async def _waiting(connection: Connection, ended: list[UUID]) -> AsyncIterator[dict[UUID, Task]]:
    """What waits for these, a page at a time."""
    after = FIRST
    while ended and (rows := await connection.fetch(statement("find_waiting"), ended, after, AT_ONCE)):
        page = {codec.uuid(row["id"]): codec.task(row) for row in rows}
        yield page
        after = max(page)


async def _release(
    connection: Connection, waiting: Mapping[UUID, Task], now: datetime, new_id: NewId, queued: dict[str, list[UUID]]
) -> None:
    needed = await _tasks(connection, list({need for state in waiting.values() for need in state.needs}))
    changes = []
    for id, state in waiting.items():
        if events := release(state, needed, now):
            facts, after = compose.of_task(id, state, events, Meta(actor=SYSTEM), now, new_id)
            changes.append(Change(id, after, facts, version=state.version))
    if not changes:
        return
    settled = await connection.fetch(statement("settle_tasks"), *settle.columns(changes, SYSTEM))
    written = {codec.uuid(row["id"]) for row in settled}
    for change in changes:
        if change.id in written and change.after.status is task.Status.QUEUED:
            queued.setdefault(change.after.queue, []).append(change.id)


async def _tasks(connection: Connection, ids: list[UUID]) -> dict[UUID, Task]:
    rows = await connection.fetch(statement("get_tasks"), ids)
    return {codec.uuid(row["id"]): codec.task(row) for row in rows}


def _task(one: Recorded) -> UUID:
    return UUID(one.fact.stream.removeprefix("task-"))
