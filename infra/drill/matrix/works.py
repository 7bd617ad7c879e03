"""The kinds of work of the crash matrix: what each sends, what begins in the log for it, and what must come of it."""

import os
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from infra.drill.matrix.insisting import told, until, written
from infra.drill.service import Service

Judge = Callable[[], Awaitable[list[str]]]
"""Once all is quiet: what is wrong with what came of it."""
Send = Callable[[], Awaitable[Judge]]
"""Sends the work, until it is accepted."""
LONG_S, SOME_S, LATER_S = 60.0, 5.0, 0.7
CHAIN = {"email_order_confirmation": 1, "warehouse_notify": 1, "analytics_record": 1}
PAYLOAD = "of the matrix"
NEVER = "9999"  # after every moment of an answer


@dataclass(frozen=True, slots=True)
class Floor:
    """What all works find there: an item to be ordered, a period with so many orders, a film."""

    service: Service
    client: httpx.AsyncClient
    item: str
    period: Mapping[str, str]
    orders: int
    clip: bytes
    numbers: Iterator[int]


@dataclass(frozen=True, slots=True)
class Work:
    """`makes`: how many streams of each category begin, and how many tasks of each kind, which all end like `end`."""

    makes: Mapping[str, int]
    prepare: Callable[[Floor], Awaitable[Send]]
    end: str = "completed"


async def nothing_more() -> list[str]:
    """Its tasks say all."""
    return []


def _asks(body: Callable[[], dict[str, Any]]) -> Callable[[Floor], Awaitable[Send]]:
    """A task that is asked for as such."""

    async def prepare(floor: Floor) -> Send:
        async def send() -> Judge:
            await written(floor.client, "/v1/tasks", body())
            return nothing_more

        return send

    return prepare


def _probe(**how: float) -> dict[str, Any]:
    return {"kind": "probe", "request": {"payload": PAYLOAD, **how}}


def _later() -> dict[str, Any]:
    due = datetime.now(UTC) + timedelta(seconds=LATER_S)
    return _probe() | {"due_at": due.isoformat()}


async def _email(floor: Floor) -> Send:
    async def send() -> Judge:
        await written(floor.client, "/v1/accounts", {"email": "ada@example.com", "name": "Ada"})
        return nothing_more

    return send


async def ordered(floor: Floor) -> str:
    """A new order, of an account of its own."""
    buyer = await written(floor.client, "/v1/accounts", {"email": "grace@example.com", "name": "Grace"})
    wanted = {"account": buyer["id"], "lines": [{"item": floor.item, "quantity": 1}]}
    return str((await written(floor.client, "/v1/orders", wanted))["id"])


async def _webhook(floor: Floor) -> Send:
    order = await ordered(floor)

    async def send() -> Judge:
        confirmed = await written(floor.client, f"/v1/orders/{order}/confirm", {})

        async def judge() -> list[str]:
            ends = [(await told(floor.client, f"/v1/tasks/{id}"))["finished_at"] for id in confirmed["tasks"]]
            in_order = ends == sorted(ends, key=lambda at: at or NEVER)
            return [] if in_order else [f"the tasks of the order did not end in their order: {ends}"]

        return judge

    return send


async def _waiting(floor: Floor) -> Send:
    async def send() -> Judge:
        first = _probe()
        await written(floor.client, "/v1/tasks/batch", [first, first | {"needs": ["/0"]}])
        return nothing_more

    return send


async def _begun(floor: Floor, work_s: float = LONG_S) -> str:
    """A task that is being worked on."""
    id = (await written(floor.client, "/v1/tasks", _probe(work_s=work_s)))["id"]

    async def holds() -> bool:
        return bool((await told(floor.client, f"/v1/tasks/{id}"))["status"] == "in_progress")

    await until(holds, "somebody works on the probe")
    return str(id)


async def _cancel(floor: Floor) -> Send:
    id = await _begun(floor)

    async def send() -> Judge:
        await written(floor.client, f"/v1/tasks/{id}/cancel", {"reason": "the matrix"})
        return nothing_more

    return send


async def _abandoned(floor: Floor) -> Send:
    """It is asked to end when nobody holds it any more."""
    id = await _begun(floor)

    async def send() -> Judge:
        _kill_workers(floor)
        await written(floor.client, f"/v1/tasks/{id}/cancel", {"reason": "the matrix"})
        return nothing_more

    return send


async def _rescue(floor: Floor) -> Send:
    """Its holder dies while it works."""
    await _begun(floor, SOME_S)

    async def send() -> Judge:
        _kill_workers(floor)
        return nothing_more

    return send


async def _frozen(floor: Floor) -> Send:
    """Its holder stands still until somebody else has ended it, wakes, and wants to end it, too."""
    id = await _begun(floor, SOME_S)
    history = await told(floor.client, f"/v1/tasks/{id}/history")
    holder = next(one["data"]["worker"] for one in history["items"] if one["name"] == "task.started")
    [pid] = [pid for pid in floor.service.pids("worker") if holder.endswith(f"-{pid}")]

    async def ended() -> bool:
        return bool((await told(floor.client, f"/v1/tasks/{id}"))["finished_at"])

    async def woken() -> bool:
        said = (floor.service.home / "logs/worker.log").read_text().splitlines()
        return any("worker.turn_passed" in line and id in line for line in said)

    async def send() -> Judge:
        os.kill(pid, signal.SIGSTOP)
        try:
            await until(ended, "somebody else has ended it")
        finally:
            os.kill(pid, signal.SIGCONT)
        await until(woken, "its first holder is told that its turn has passed")
        return nothing_more

    return send


def _kill_workers(floor: Floor) -> None:
    for pid in floor.service.pids("worker"):
        with suppress(ProcessLookupError):  # it has just died by itself
            os.kill(pid, signal.SIGKILL)


LIGHT: Mapping[str, Work] = {
    "probe": Work({"probe": 1}, _asks(_probe)),
    "stumbling": Work({"probe": 1}, _asks(lambda: _probe(fail_first=1))),
    "scheduled": Work({"probe": 1}, _asks(_later)),
    "waiting": Work({"probe": 2}, _waiting),
    "email": Work({"account": 1, "email_welcome": 1}, _email),
    "webhook": Work({"account": 1, "email_welcome": 1, "order": 1, **CHAIN}, _webhook),
    "cancel": Work({"probe": 1}, _cancel, "cancelled"),
    "abandoned": Work({"probe": 1}, _abandoned, "cancelled"),
    "rescue": Work({"probe": 1}, _rescue),
    "frozen": Work({"probe": 1}, _frozen),
}
