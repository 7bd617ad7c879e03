"""A reader folded anew beside its own rows: compared with them, and mended where it differs.

Whatever the log's length, no transaction is long but the last: it folds what came meanwhile and compares."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres import codec, log
from adapters.postgres.database import statement
from adapters.postgres.following import driver_of
from adapters.postgres.readers import FOLDS, RELEASE
from adapters.postgres.rebuild import Beside, Difference, Short, session
from adapters.postgres.tables import epochs, events
from domain import compose, rebuild
from domain.log import Entry, Meta, stream_of
from infra.clock import Clock
from infra.exits import NotFound, Refused
from infra.migrate import head

CHUNK = 2_000  # facts in one transaction
NEAR = 2_000  # facts that may be left for the last transaction
ROUNDS = 20  # after so many the reader has to wait, however much is left
MOST = 20  # differences that are named
Told = Callable[[int, int], None]  # the position, and where it ends


@dataclass(frozen=True, slots=True)
class Verdict:
    """Up to `position` so many rows differed, and whether they were mended; the first of them are named."""

    reader: str
    position: int
    differences: int
    named: list[Difference]
    mended: bool


class Unfoldable(Exception):
    """The log cannot be folded as far as the reader is; the message says why."""


def require_fold(name: str) -> None:
    """Raises NotFound for what is no reader, Refused for what is no fold."""
    if name == RELEASE:
        raise Refused("The reader release is no fold of the log: it writes facts, and those stand for ever.")
    if name not in FOLDS:
        raise NotFound(f"There is no reader {name!r}; there are {', '.join(FOLDS)}.")


async def compared(dsn: str, name: str, told: Told = lambda position, end: None) -> Verdict:
    """Compare the reader with the log, in one snapshot at its end: the reader waits for nothing, and no right to change
    anything is needed. Raises Unfoldable."""
    async with session(dsn, "postcommit compare") as connection:
        beside = Beside(connection, name, lasts=False)
        await beside.begin("")
        await _near(beside, told)
        await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        return await _verdict(beside, await beside.live(), told)


async def rebuilt(owner: str, name: str, actor: str, told: Told, say: Callable[[str], None]) -> Verdict:
    """Compare, and mend what differs in the same transaction, for which the reader waits.

    Raises Refused, Unfoldable."""
    async with session(owner, "postcommit rebuild") as connection:
        beside = Beside(connection, name, lasts=True)
        await _require_free(beside)
        await beside.begin(await _program(connection))
        if beside.position:
            say(f"An earlier rebuild ended at position {beside.position}: this one goes on there.")
        await _near(beside, told)
        verdict = await _verdict(beside, await beside.live(lock=True), told)
        if verdict.differences:
            await beside.mend()
        await _record(connection, verdict, actor)
        await beside.drop()
        await connection.commit()
        return replace(verdict, mended=verdict.differences > 0)


async def _near(beside: Beside, told: Told) -> None:
    """Fold in short transactions until little is left."""
    for _ in range(ROUNDS):
        end = await beside.live()
        await beside.connection.commit()
        if end - beside.position <= NEAR:
            break
        while beside.position < end:
            await _fold(beside, end)
            await beside.connection.commit()
            told(beside.position, end)
    await beside.analyze()


async def _verdict(beside: Beside, end: int, told: Told) -> Verdict:
    """Fold the rest, and compare; all of it in the transaction that read the end."""
    while beside.position < end:
        await _fold(beside, end)
    found, named = await beside.differences(MOST)
    told(end, end)
    return Verdict(beside.name, end, found, named, mended=False)


async def _fold(beside: Beside, end: int) -> None:
    try:
        await beside.step(end, CHUNK)
    except Short as error:
        raise Unfoldable(str(error)) from error
    except codec.UNREADABLE as error:
        where = f"after the position {beside.position}"
        raise Unfoldable(f"The log cannot be folded {where}: {type(error).__name__}: {error}") from error


async def _require_free(beside: Beside) -> None:
    may = text("SELECT has_schema_privilege('postcommit', 'CREATE')")
    if not await beside.connection.scalar(may):
        raise Refused("Only the owner of the schema may mend what a reader wrote: set POSTCOMMIT_POSTGRES_OWNER.")
    if not await beside.alone():
        raise Refused(f"Another process rebuilds the reader {beside.name} just now.")


async def _program(connection: AsyncConnection) -> str:
    """What a fold depends on: this program, the schema, and the log's epoch."""
    epoch = await connection.scalar(select(epochs.c.id).order_by(epochs.c.id.desc()).limit(1))
    return f"{version('postcommit')} {head()} {epoch}"


async def _record(connection: AsyncConnection, verdict: Verdict, actor: str) -> None:
    """An operator's action is a fact, in the transaction of its effect."""
    id, clock = rebuild.id_of(verdict.reader), Clock()
    last = select(func.coalesce(func.max(events.c.version), 0)).where(events.c.stream == stream_of("reader", id))
    event = rebuild.Rebuilt(name=verdict.reader, position=verdict.position, differences=verdict.differences)
    before = int(await connection.scalar(last) or 0)
    facts = compose.of_thing(id, before, [event], Meta(actor=actor), clock.now(), clock.new_id)
    raw = await driver_of(connection)
    await raw.fetch(statement("append_entries"), *log.columns([Entry(facts)]))
