"""A long past for the log: many lives of tasks, sign-ups and sales, interleaved, as they would have been written."""

import random
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from adapters.postgres import codec
from domain import account, compose, order, outcome, task
from domain.log import Event, Fact, Meta, Recorded
from domain.outcome import Error
from domain.task import Task
from infra.clock import new_id
from tests.making import KIND, KINDS, META, NOON, asked

ERROR = Error(type="e", detail="d")
ENDS = (*[outcome.Done(result=1)] * 4, outcome.Stumbled(error=ERROR), outcome.Refused(error=ERROR))
FACT_COLUMNS = ("id", "stream", "version", "name", "name_version", "at", "subject", "data", "personal", "meta")
Life = Iterator[Fact]


def lived(number: int, seed: int = 7, begin: datetime = NOON, meta: Meta = META) -> list[Fact]:
    """So many facts, at moments of about three days, of up to 50 lives at a time."""
    chance = random.Random(seed)
    going: deque[Life] = deque()
    facts: list[Fact] = []
    while len(facts) < number:
        now = begin + timedelta(days=3) * len(facts) / number
        while len(going) < 50:
            going.append(_life(chance, [now], meta))
        going.rotate(chance.randrange(50))
        if (fact := next(going[0], None)) is None:
            going.popleft()
        else:
            facts.append(fact)
    return facts


def numbered(facts: Sequence[Fact], after: int = 0) -> list[Recorded]:
    return [Recorded(position, fact) for position, fact in enumerate(facts, after + 1)]


async def store(dsn: str, facts: Sequence[Fact]) -> int:
    """Write them with their positions, at once; nothing else may write just then. Answers with the ledger's head."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = [_row(fact) for fact in facts]
        after = await connection.fetchval("SELECT coalesce(max(position), 0) FROM postcommit.ledger")
        where = {"schema_name": "postcommit"}
        await connection.copy_records_to_table("events", records=rows, columns=FACT_COLUMNS, **where)
        ledger = [(position, fact.id) for position, fact in enumerate(facts, after + 1)]
        await connection.copy_records_to_table("ledger", records=ledger, columns=("position", "event"), **where)
        return int(after + len(facts))
    finally:
        await connection.close()


async def store_unnumbered(dsn: str, facts: Sequence[Fact]) -> None:
    """Write them as the API does, with the duty to number them."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = [_row(fact) for fact in facts]
        async with connection.transaction():
            where = {"schema_name": "postcommit"}
            await connection.copy_records_to_table("events", records=rows, columns=FACT_COLUMNS, **where)
            await connection.copy_records_to_table(
                "outbox", records=[(f.id,) for f in facts], columns=("event",), **where
            )
    finally:
        await connection.close()


def _row(fact: Fact) -> tuple[object, ...]:
    return codec.fact_columns(fact)


def _life(chance: random.Random, clock: list[datetime], meta: Meta) -> Life:
    now = clock[0]
    match chance.randrange(10):
        case 0:
            yield from _thing(new_id(), [account.Registered(email="a@example.com", name="Ann")], now, meta)
        case 1:
            cents = chance.randrange(10_000)
            sale = order.Recorded(total_cents=cents, currency=chance.choice(["EUR", "USD"]))
            made = order.Created(account=new_id(), lines=(), total_cents=cents, currency="EUR")
            yield from _thing(new_id(), [made, order.Confirmed(), sale], now, meta)
        case _:
            yield from _task(chance, now, meta)


def _thing(id: UUID, events: Sequence[Event], now: datetime, meta: Meta) -> Life:
    yield from compose.of_thing(id, 0, events, meta, now, new_id)


def _task(chance: random.Random, now: datetime, meta: Meta) -> Life:
    """Asked for, started, ended somehow; some stumble, some lose their holder, some are cancelled while they wait."""
    id, state = new_id(), Task()
    kind = chance.choice(list(KINDS.values()))
    steps = [task.ask(state, asked({}, kind), now)]
    while steps:
        facts, state = compose.of_task(id, state, steps.pop(0), meta, now, new_id)
        yield from facts
        now += timedelta(seconds=chance.lognormvariate(0, 2))
        match state.status:
            case task.Status.QUEUED if chance.random() < 0.05:
                steps = [task.cancel(state, "ops")]
            case task.Status.QUEUED:
                steps = [task.start(state, "w")]
            case task.Status.SCHEDULED:
                steps = [task.dispatch(state, state.due_at or now)]
            case task.Status.IN_PROGRESS if chance.random() < 0.1:
                steps = [task.rescue(state, state.turn)]
            case task.Status.IN_PROGRESS:
                end = chance.choice(ENDS)
                steps = [task.finish(state, KIND, state.turn, end, now, 0.5)]
