"""Where in the ledger does each queue's oldest task that still waits for a worker stand?"""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from adapters.postgres.database import Database
from adapters.postgres.leadership import Leadership
from adapters.postgres.log import PostgresLog
from adapters.postgres.tasks import PostgresTasks
from infra.clock import new_id
from tests import making

SLOW, QUICK = (replace(making.KIND, name=f"probe_{queue}", queue=queue) for queue in ("slow", "quick"))


@pytest.fixture
async def database(dsn: Callable[[str], str]) -> AsyncIterator[Database]:
    database = Database(dsn("postcommit"), 4)
    yield database
    await database.close()


async def test_it_is_told_for_each_queue_once_it_is_numbered(database: Database) -> None:
    log, tasks = PostgresLog(database), PostgresTasks(database)
    made = [making.new_task(kind=kind) for kind in (SLOW, QUICK, QUICK)]
    for _, entry in made:
        await log.append(entry)
    queues = ("slow", "quick", "none")
    assert [await tasks.oldest_queued(queue) for queue in queues] == [None] * 3
    async with await Leadership.open(database.dsn) as leadership:
        await leadership.sequence(5_000)
    assert [await tasks.oldest_queued(queue) for queue in queues] == [1, 2, None]
    await tasks.claim([made[1][0]], [new_id()], "w", [QUICK.name], 60.0, making.NOON)
    assert [await tasks.oldest_queued(queue) for queue in queues] == [1, 3, None]
