"""The history of a task: every fact of its stream, and every attempt."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Response
from litestar.params import FromPath
from msgspec.structs import replace

from adapters.http import examples
from adapters.http.auth import needs
from adapters.http.described import Reply, described
from adapters.http.desk import Call, desk, find_task
from adapters.http.methods import get
from adapters.http.shown import id_of, ok
from domain import catalogue, task
from domain.access import Right
from domain.log import Recorded, stream_of
from domain.outcome import Error
from domain.task import Task


class Item(msgspec.Struct, kw_only=True):
    position: int | None
    id: UUID
    version: int
    name: str
    at: datetime
    attempt: int  # that was the latest then; 0 before the first
    data: msgspec.Raw
    actor: str
    address: str | None
    request_id: str | None
    correlation_id: str | None
    causation_id: UUID | None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    attempt: int
    turn: int
    worker: str
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None  # complete, failed, stumbled, lost, stopped, cancelled; None while it runs
    error: Error | None = None


class History(msgspec.Struct):
    items: list[Item]
    attempts: list[Attempt]


FIRST = Item(
    position=7,
    id=examples.EVENT_ID,
    version=1,
    name="task.queued",
    at=examples.AT,
    attempt=0,
    data=examples.LINE.data,
    actor="client",
    address="192.0.2.7",
    request_id="checkout-7",
    correlation_id="cart-12",
    causation_id=None,
)
ONCE = Attempt(attempt=1, turn=1, worker="worker-1", started_at=examples.AT, ended_at=examples.AT, outcome="complete")
HISTORY = described("see_history", "Tasks", {200: Reply(History, History([FIRST], [ONCE]))}, problems=["overloaded"])


@get("/v1/tasks/{id:str}/history", opt=needs(Right.READ_TASKS) | HISTORY)
async def history(request: Call, id: FromPath[str]) -> Response[bytes]:
    """Every event of the task, in order, and every attempt that they tell of."""
    seen = await find_task(request, id_of(id))
    recorded = await desk(request).service.log.read(stream_of("task", seen.id))
    return ok({"items": items(recorded), "attempts": attempts(recorded)})


def items(recorded: Iterable[Recorded]) -> list[Item]:
    shown, state = [], Task()
    for one in recorded:
        assert isinstance(one.fact.event, task.Event), "A task's stream holds events of tasks."
        state = task.evolve(state, one.fact.event, one.fact.at)
        shown.append(_item(one, state.attempt))
    return shown


def _item(one: Recorded, attempt: int) -> Item:
    name, data, _ = catalogue.dump(one.fact.event)
    fact, meta = one.fact, one.fact.meta
    return Item(
        position=one.position,
        id=fact.id,
        version=fact.version,
        name=name,
        at=fact.at,
        attempt=attempt,
        data=msgspec.Raw(data),
        actor=meta.actor,
        address=meta.address,
        request_id=meta.request_id,
        correlation_id=meta.correlation_id,
        causation_id=meta.causation_id,
    )


def attempts(recorded: Iterable[Recorded]) -> list[Attempt]:
    found: list[Attempt] = []
    for one in recorded:
        event, at = one.fact.event, one.fact.at
        if isinstance(event, task.Started):
            found.append(Attempt(attempt=event.attempt, turn=event.turn, worker=event.worker, started_at=at))
        elif found and found[-1].outcome is None and (how := _end(event)):
            outcome, error = how
            found[-1] = replace(found[-1], ended_at=at, outcome=outcome, error=error)
    return found


def _end(event: Any) -> tuple[str, Error | None] | None:
    match event:
        case task.Completed():
            return "complete", None
        case task.Failed(error=error):
            return "failed", error
        case task.Stumbled(error=error):
            return "stumbled", error
        case task.Rescued(lost=lost):
            return "lost" if lost else "stopped", None
        case task.Cancelled():
            return "cancelled", None
        case _:
            return None
