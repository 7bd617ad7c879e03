"""What clients want: probes whose outcome is known before they are sent, some of them cancelled meanwhile.

A client that hears nothing sends the same again under the same idempotency key, until the answer is definite. Some
give up after one try, and never know."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

from adapters.postgres.database import TRANSIENT
from domain import compose, task
from domain.log import Conflict, Entry, Replayed
from domain.probe import KIND
from domain.task import Status
from infra.clock import Clock
from tests import making
from tests.simulation.checks import Checks
from tests.simulation.rows import Rows

ALWAYS = 99  # attempts that stumble
TRIES_S = 0.3
LOOK_S = 0.05


@dataclass
class Intent:
    id: UUID
    at: float
    request: dict[str, Any]
    due_s: float = 0.0
    needs: list["Intent"] = field(default_factory=list)
    cancel_s: float | None = None  # after it was accepted, or after what it needs has ended
    late: bool = False  # the latter: when it is about to be released
    tires: bool = False  # gives up after one try
    known: asyncio.Event = field(default_factory=asyncio.Event)
    accepted: bool | None = None  # None: nobody knows

    @property
    def ends(self) -> Status:
        """How it ends by itself."""
        wrong = self.request.get("refuse") or self.request.get("fail_first") == ALWAYS
        return Status.FAILED if wrong else Status.COMPLETE


def wanted(random: Random, until: float, clock: Clock) -> list[Intent]:
    """A handful of them, over this time."""
    intents: list[Intent] = []
    busy = random.random() < 0.3
    for number in range(random.randint(4, 9)):
        intent = Intent(clock.new_id(), random.random() * until, {"payload": number})
        if random.random() < (0.9 if busy else 0.3):
            intent.request["work_s"] = 0.2 + random.random() * 4
        match random.randrange(8):
            case 0 | 1:
                intent.request["fail_first"] = random.choice([1, 1, 2, ALWAYS])
            case 2:
                intent.request["refuse"] = True
        intent.due_s = 0.2 + random.random() * 3 if random.random() < 0.25 else 0.0
        intent.tires = random.random() < 0.1
        intent.cancel_s = random.random() * 3 if random.random() < 0.2 else None
        if intent.due_s and random.random() < 0.5:  # when it is about to be queued
            intent.cancel_s = intent.due_s - 0.01 + random.random() * 0.04
        if intents and random.random() < 0.4:
            intent.needs = random.sample(intents, min(len(intents), random.randint(1, 2)))
            if random.random() < 0.3:
                intent.late, intent.cancel_s = True, 0.08 + random.random() * 0.06
        intents.append(intent)
    return intents


async def pursue(intent: Intent, rows: Rows, clock: Clock) -> None:
    await clock.sleep(intent.at)
    for one in intent.needs:
        await one.known.wait()
    intent.needs = [one for one in intent.needs if one.accepted]
    try:
        await _send(intent, rows, clock)
    finally:
        intent.known.set()
    if intent.accepted and intent.cancel_s is not None:
        if intent.late:
            await _ended(intent.needs, rows, clock)
        await clock.sleep(intent.cancel_s)
        await _cancel(intent, rows, clock)


async def _send(intent: Intent, rows: Rows, clock: Clock) -> None:
    due_at = clock.now() + timedelta(seconds=intent.due_s) if intent.due_s else None
    needs = tuple(one.id for one in intent.needs)
    once = making.once(str(intent.id))
    _, entry = making.new_task(intent.request, clock.now(), due_at, once, KIND, intent.id, needs)
    while intent.accepted is None:
        try:
            await rows.append(entry)
            intent.accepted = True
        except Replayed:
            intent.accepted = True
        except TRANSIENT:
            if intent.tires:
                return
            await clock.sleep(TRIES_S)


async def _ended(needs: list[Intent], rows: Rows, clock: Clock) -> None:
    ids = [one.id for one in needs]
    while True:
        try:
            if all(state.finished_at for state in (await rows.get(ids)).values()):
                return
        except TRANSIENT:
            pass  # asked again
        await clock.sleep(LOOK_S)


async def _cancel(intent: Intent, rows: Rows, clock: Clock) -> None:
    while True:
        try:
            state = (await rows.get([intent.id]))[intent.id]
            if not (events := task.cancel(state, "ops")):
                return
            facts, after = compose.of_task(intent.id, state, events, making.META, clock.now(), clock.new_id)
            await rows.append(Entry(facts, changed=((intent.id, after),)))
        except Conflict:
            continue
        except TRANSIENT:
            await clock.sleep(TRIES_S)


def kept(intent: Intent, checks: Checks) -> None:
    """Raises Broken unless it ended as it was known before, or was not accepted and is not there."""
    state = checks.folds.get(f"task-{intent.id}")
    if state is None:
        checks.require(intent.accepted is not True, f"The task {intent.id} was accepted, and is lost.")
        return
    needed = [checks.folds[f"task-{one.id}"].status for one in intent.needs]
    broken = any(status is not Status.COMPLETE for status in needed)
    if state.status is Status.CANCELLED:
        checks.require(broken or intent.cancel_s is not None, f"{intent.id} was cancelled, and nobody asked for it.")
        return
    checks.require(not broken, f"The task {intent.id} is {state.status}, and what it needs is {needed}.")
    checks.require(state.status is intent.ends, f"The task {intent.id} is {state.status}, and not {intent.ends}.")
    if state.status is Status.COMPLETE:
        right = state.result == {"payload": intent.request["payload"], "attempt": state.attempt}
        checks.require(right, f"The result of {intent.id} is {state.result} after {state.attempt} attempts.")
