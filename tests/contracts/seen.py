"""What Postgres holds after a step, and all that is wrong with it, beside a model of the same lives."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
from msgspec.structs import replace

from adapters.postgres import codec
from adapters.postgres.queries import PostgresQueries
from domain import catalogue, task
from domain.log import Fact
from domain.outcome import Error
from domain.task import Status, Task
from domain.views import Balance
from infra.check.run import queries
from tests.contracts.life import ENDS, Life, Lives

OF_TIME = {  # they tell of a service that runs: here time stands still until a step moves it
    "the outbox is young",
    "no expired lease is unrescued",
    "what is due is dispatched",
    "what waits has something to wait for",
}
BROKEN = " UNION ALL ".join(
    f"SELECT '{name}: ' || q.x::text FROM ({query}) AS q (x)" for name, query in queries() if name not in OF_TIME
)
ROWS = "SELECT *, coalesce(lease_until < clock_timestamp(), false) AS silent FROM postcommit.tasks"
FACTS = """SELECT l.position, e.id, stream, version, name, name_version, at, subject, data, personal, meta
FROM postcommit.events AS e LEFT JOIN postcommit.ledger AS l ON l.event = e.id ORDER BY stream, version"""
COUNTS = """SELECT (SELECT count(*) FROM postcommit.events) - (SELECT count(*) FROM postcommit.ledger)
    - (SELECT count(*) FROM postcommit.outbox) AS unlike, (SELECT count(*) FROM postcommit.outbox) AS outbox,
    (SELECT count(*) FROM postcommit.idempotency) AS keys"""


@dataclass(frozen=True, slots=True)
class Row:
    task: Task
    silent: bool
    last: UUID  # its latest fact


@dataclass(frozen=True, slots=True)
class Seen:
    rows: dict[UUID, Row]
    streams: dict[str, list[Fact]]
    balance: Balance
    broken: list[str]  # invariants of `postcommit check`
    unlike: int  # facts that are neither numbered nor about to be, or both
    outbox: int
    keys: int


async def look(connection: "asyncpg.Connection[asyncpg.Record]", asking: PostgresQueries) -> Seen:
    rows, streams = await connection.fetch(ROWS), dict[str, list[Fact]]()
    for row in await connection.fetch(FACTS):
        fact = codec.recorded(row).fact
        streams.setdefault(fact.stream, []).append(fact)
    [counts] = await connection.fetch(COUNTS)
    return Seen(
        {codec.uuid(row["id"]): Row(codec.task(row), row["silent"], codec.uuid(row["last_event"])) for row in rows},
        streams,
        await asking.balance(),
        [row[0] for row in await connection.fetch(BROKEN)],
        **counts,
    )


def wrong(seen: Seen, lives: Lives) -> list[str]:
    """Every difference between the two, as a sentence; none is good."""
    found = [f"invariant broken: {one}" for one in seen.broken]
    stories = {f"task-{id}": life.story for id, life in lives.tasks.items()} | lives.things
    _same(found, "streams", set(seen.streams), set(stories))
    for stream, facts in seen.streams.items():
        _same(found, f"story of {stream}", [_name(fact) for fact in facts], list(stories.get(stream, ())))
        _same(found, f"versions of {stream}", [fact.version for fact in facts], list(range(1, len(facts) + 1)))
    _same(found, "tasks", set(seen.rows), set(lives.tasks))
    for id in seen.rows.keys() & lives.tasks.keys():
        found += [f"task {id}: {one}" for one in _of_task(id, seen, lives)]
    _same(found, "facts that are not once in the outbox or the ledger", seen.unlike, 0)
    _same(found, "idempotency keys", seen.keys, len(lives.keys))
    _same(found, "balance", _balance(seen.balance), _counted(lives))
    return found


def _of_task(id: UUID, seen: Seen, lives: Lives) -> list[str]:
    found: list[str] = []
    row, life, facts = seen.rows[id], lives.tasks[id], seen.streams.get(f"task-{id}", [])
    for name, (told, expected) in _columns(row, life).items():
        _same(found, name, told, expected)
    events = [(fact.event, fact.at) for fact in facts if isinstance(fact.event, task.Event)]
    _same(found, "row and fold of the stream", _plain(row.task), _plain(task.fold(events)))
    turns = [event.turn for event, _ in events if isinstance(event, task.Started)]
    _same(found, "turns", turns, list(range(1, len(turns) + 1)))
    _same(found, "ends", sum(_name(fact) in ENDS for fact in facts), int(not life.open))
    _same(found, "latest fact", [row.last], [fact.id for fact in facts[-1:]])
    cause = row.task.cancel_requested.cause if row.task.cancel_requested else None
    _same(found, "whether it was cancelled because of another", cause is not None, life.caused)
    if cause is not None and (cause not in life.needs or lives.tasks[cause].status not in ("failed", "cancelled")):
        found.append(f"its cause {cause} is none")
    return found


def _columns(row: Row, life: Life) -> dict[str, tuple[Any, Any]]:
    state, running = row.task, life.status == "in_progress"
    return {
        "status": (state.status.value, life.status),
        "version": (state.version, len(life.story)),
        "turn": (state.turn, life.turn),
        "attempt": (state.attempt, life.turn),
        "stumbles": (state.stumbles, life.stumbles),
        "lost": (state.lost, life.lost),
        "needs": (state.needs, life.needs),
        "kind": ((state.kind, state.max_attempts), (life.kind, life.most)),
        "retried_as": (state.retried_as, life.retried_as),
        "whether cancelling was asked for": (
            state.cancel_requested is not None and running,
            life.cancelling and running,
        ),
        "whether the lease ran out": (row.silent, life.silent and running),
        "progress": (state.progress and state.progress.done, life.progress) if running else (None, None),
        "due": (state.due_at, life.due) if life.status == "scheduled" else (None, None),
        "what its end shows": (_shown(state), life.shown),
    }


def _shown(state: Task) -> Any:
    match state.status, state.error:
        case Status.COMPLETE, _:
            return state.result
        case Status.FAILED, Error(type=type):
            return type
        case _:
            return None


def _plain(state: Task) -> Task:
    """Progress in the row is finer than in the log while the task runs."""
    return replace(state, progress=None) if state.status is Status.IN_PROGRESS else state


def _name(fact: Fact) -> str:
    return catalogue.NAMES[type(fact.event)].partition(".")[2]


def _balance(told: Balance) -> dict[str, int]:
    names = ("accepted", "complete", "failed", "cancelled", "open", "difference")
    return {name: getattr(told, name) for name in names}


def _counted(lives: Lives) -> dict[str, int]:
    statuses = [life.status for life in lives.tasks.values()]
    ended = {name: statuses.count(name) for name in ("complete", "failed", "cancelled")}
    return {"accepted": len(statuses), **ended, "open": len(statuses) - sum(ended.values()), "difference": 0}


def _same(found: list[str], what: str, told: Any, expected: Any) -> None:
    if told != expected:
        found.append(f"{what}: {told}, expected {expected}")


def causes(seen: Seen) -> dict[UUID, UUID | None]:
    """Because of which task each was cancelled: where there are several, the program may choose."""
    asked = {id: row.task.cancel_requested for id, row in seen.rows.items()}
    return {id: one.cause if one is not None else None for id, one in asked.items()}
