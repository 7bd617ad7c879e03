"""The stream LOG against the ledger, message by message."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from nats.aio.client import Client
from sqlalchemy import select

from adapters.nats import replay
from adapters.nats.stream import Limits, LogStream
from adapters.postgres.database import Database
from adapters.postgres.ledger import epoch, head
from adapters.postgres.tables import events, ledger
from domain.mirror import State, begins_late

CHUNK = 5_000


async def differing_from_the_ledger(database: Database, client: Client) -> AsyncGenerator[str, None]:
    """Where the stream is not the ledger, as sentences; what the stream no longer holds is not compared."""
    stream = LogStream(client, Limits(0, 0))
    state = await stream.state()
    if state is None:
        yield "the stream LOG is missing"
        return
    top = await head(database)
    if state.last > top:
        yield f"the stream is at {state.last}, ahead of the ledger at {top}"
    if state.epoch != await epoch(database):
        yield f"the stream is of epoch {state.epoch}, the log of {await epoch(database)}"
    if lost := await _lost(database, state):
        yield lost
    expected = state.first
    wanted: dict[int, str] = {}
    if state.messages == 0:
        return
    async with aclosing(replay.ids(client, state.first, min(state.last, top))) as found:
        async for position, id in found:
            if position != expected:
                yield f"the stream has no message at {expected}"
            expected = position + 1
            if position not in wanted:
                wanted = await _ledger(database, position)
            if wanted.get(position) != id:
                yield (
                    f"position {position}: the stream has {id or 'a foreign message'}, "
                    f"the ledger {wanted.get(position, 'nothing')}"
                )
    if expected <= min(state.last, top):
        yield f"the stream ends at {expected - 1}, and says {state.last}"


async def _lost(database: Database, state: State) -> str | None:
    """Where the stream should begin earlier; what its age or its size took is not missing."""
    written = select(events.c.at).join(ledger, ledger.c.event == events.c.id)
    async with database.core() as connection:
        at = await connection.scalar(written.where(ledger.c.position == state.first - 1))
    return None if at is None else begins_late(state, at)


async def _ledger(database: Database, position: int) -> dict[int, str]:
    async with database.core() as connection:
        query = select(ledger).where(ledger.c.position >= position, ledger.c.position < position + CHUNK)
        return {row.position: str(row.event) for row in await connection.execute(query)}
