"""The mirror's cursor in Postgres: what does it tell, when an old leader writes after the new one?"""

from collections.abc import AsyncIterator, Callable

import pytest
from sqlalchemy import select

from adapters.nats.stream import line
from adapters.postgres.database import Database
from adapters.postgres.mirror import MirroredLedger
from adapters.postgres.tables import cursors
from domain.mirror import Line, Stored


@pytest.fixture
async def database(dsn: Callable[[str], str]) -> AsyncIterator[Database]:
    database = Database(dsn("postcommit"), 2)
    yield database
    await database.close()


async def test_a_position_that_is_told_anew_stands_against_that_of_a_leader_who_was_deposed(database: Database) -> None:
    old, new = ledger(database), ledger(database)
    await old.reached(5)
    await new.reached(7)
    await new.tell()
    await old.tell()
    assert await cursor(database) == 5
    await new.tell()
    assert await cursor(database) == 5, "What was told once is not written again four times a second."
    await new.tell(anew=True)
    assert await cursor(database) == 7


async def test_a_relay_that_begins_knows_how_far_another_came_and_then_how_far_it_came_itself(
    database: Database,
) -> None:
    old, new = ledger(database), ledger(database)
    await old.reached(9)
    await old.tell()
    assert await new.reached_last() == 9
    await new.reached(8)
    assert await new.reached_last() == 8


def ledger(database: Database) -> MirroredLedger:
    async def leads() -> bool:
        return True

    def message(stored: Stored, epoch: str) -> Line:
        return line(stored, epoch, "http://127.0.0.1")

    return MirroredLedger(database, database, message, leads, 100)


async def cursor(database: Database) -> int:
    async with database.core() as connection:
        query = select(cursors.c.position).where(cursors.c.name == "mirror")
        return int((await connection.execute(query)).scalar_one())
