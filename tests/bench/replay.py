"""`python -m tests.bench.replay`: reads, decodes and folds the log from its first position, as a reader does, and
prints how many facts that is a second."""

import asyncio
import json
import os
import time

import uvloop

from adapters.postgres.database import Database
from adapters.postgres.log import PostgresLog
from domain import task
from domain.task import Task
from infra.roles.role import settled

PAGE, MOST = 5_000, 400_000


async def main() -> None:
    database = Database(os.environ["POSTCOMMIT_POSTGRES"], 2)
    log, open_tasks, count, ended = PostgresLog(database), dict[str, Task](), 0, 0
    settled()
    begin, page = time.perf_counter(), await log.ledger(0, PAGE)
    while page and count < MOST:
        following = asyncio.create_task(log.ledger(page[-1].position or 0, PAGE))
        await asyncio.sleep(0)  # Postgres reads on while this page is folded
        for one in page:
            if isinstance(event := one.fact.event, task.Event):
                state = task.evolve(open_tasks.pop(one.fact.stream, NOTHING), event, one.fact.at)
                if state.status in task.ENDED:
                    ended += 1
                else:
                    open_tasks[one.fact.stream] = state
        count += len(page)
        page = await following
    took = time.perf_counter() - begin
    await database.close()
    print(json.dumps({"rate": count / took, "facts": count, "ended": ended, "open": len(open_tasks)}))


NOTHING = Task()

if __name__ == "__main__":
    uvloop.run(main())
