"""`make matrix`: at every crash point the role dies once, with each kind of work. Nothing is lost, nothing shows twice.

A duplicate effect is admitted only where a crash falls between the far side's taking it and our commit."""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from infra.clock import new_id
from infra.drill import watch
from infra.drill.evidence import ENDS
from infra.drill.points import POINTS, Point
from infra.drill.service import CRASHING, Ended, Service, started, within
from infra.exits import DONE, FAILED

SETTINGS = {"POSTCOMMIT_LEASE_S": "2", "POSTCOMMIT_HEARTBEAT_S": "0.5", "POSTCOMMIT_GRACE_S": "2"}
ORDER = "crash"
PATIENCE_S, REACHED_S = 60.0, 10.0


@dataclass(frozen=True, slots=True)
class Cell:
    """One crash with one kind of work: how often its effects arrived, and what is wrong."""

    point: str
    kind: str
    effects: int
    wrong: tuple[str, ...]


async def matrix(home: Path, names: Sequence[str]) -> list[Cell]:
    """Crash at each of the points with each of the kinds that reach it."""
    cells = []
    async with started(home, SETTINGS | {CRASHING: "1"}) as service:
        async with service.client("operator", 20) as client:
            lamp = await _definite(client, "/v1/items", {"name": "Lamp", "price_cents": 100, "currency": "EUR"})
            for name in names:
                for kind in POINTS[name].kinds:
                    cells.append(await _cell(service, client, name, kind, lamp["id"]))
                    _say(f"{name:<28} {kind:<8} {cells[-1].wrong or 'good'}")
        for one in await watch.broken(service):
            cells.append(Cell("at the end", "all", 0, (one,)))
    return cells


async def _cell(service: Service, client: httpx.AsyncClient, name: str, kind: str, item: str) -> Cell:
    point, order = POINTS[name], service.home / ORDER
    prepared = await _prepared(client, kind, item)
    order.write_text(name)
    tasks = await prepared()
    wrong = []
    deadline = time.monotonic() + PATIENCE_S
    ended = [await _ended(client, id, deadline) for id in tasks]
    wrong += [f"{one.get('kind')} is {one.get('status')}" for one in ended if one.get("status") != "complete"]
    try:
        await within(lambda: not order.exists(), "the point", REACHED_S)  # readers come by when all is done
    except Ended:
        order.unlink()
        wrong.append("the point was never reached")
    await within(lambda: all(service.pids(role) for role in ("api", "relay", "worker", "reader")), "all roles")
    arrived = [(one.path, one.task) for one in watch.arrivals(service.home) if one.task in tasks]
    wrong += _of_effects(point, tasks, ended, arrived)
    wrong += await _of_log(client, tasks)
    return Cell(name, kind, len(arrived), tuple(wrong))


async def _prepared(client: httpx.AsyncClient, kind: str, item: str) -> Any:
    """What sends the work, once all that it needs is there; answers with its tasks."""
    match kind:
        case "probe":  # it stumbles once, so that the lifeline queues it again
            body = {"kind": "probe", "request": {"fail_first": 1}}

            async def send() -> list[str]:
                return [(await _definite(client, "/v1/tasks", body))["id"]]
        case "email":

            async def send() -> list[str]:
                told = await _definite(client, "/v1/accounts", {"email": "ada@example.com", "name": "Ada"})
                return list(told["tasks"])
        case _:
            buyer = await _definite(client, "/v1/accounts", {"email": "grace@example.com", "name": "Grace"})
            await _ended(client, buyer["tasks"][0], time.monotonic() + PATIENCE_S)
            wanted = {"account": buyer["id"], "lines": [{"item": item, "quantity": 1}]}
            order = await _definite(client, "/v1/orders", wanted)

            async def send() -> list[str]:
                return list((await _definite(client, f"/v1/orders/{order['id']}/confirm", {}))["tasks"])

    return send


async def _definite(client: httpx.AsyncClient, path: str, body: Any) -> dict[str, Any]:
    """The answer to one request, which is sent again with its key until there is one."""
    key, deadline = str(new_id()), time.monotonic() + PATIENCE_S
    while True:
        try:
            answer = await client.post(path, json=body, headers={"Idempotency-Key": key})
            if answer.status_code < 300:
                return dict(answer.json())
        except httpx.HTTPError:  # it has died
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"POST {path} was not answered.")
        await asyncio.sleep(0.05)


async def _ended(client: httpx.AsyncClient, id: str, deadline: float) -> dict[str, Any]:
    """The task once it has ended, or as it is when time is over."""
    told: dict[str, Any] = {}
    while told.get("finished_at") is None and time.monotonic() < deadline:
        try:
            answer = await client.get(f"/v1/tasks/{id}", params={"wait": 2})
            told = answer.json() if answer.status_code == 200 else told
        except httpx.HTTPError:
            await asyncio.sleep(0.05)
    return told


def _of_effects(
    point: Point, tasks: Sequence[str], ended: Sequence[dict[str, Any]], arrived: Sequence[tuple[str, str]]
) -> list[str]:
    wrong = []
    for id, told in zip(tasks, ended, strict=True):
        path = {"email_welcome": "email", "email_order_confirmation": "email", "warehouse_notify": "webhook"}.get(
            told.get("kind", "")
        )
        times = arrived.count((path, id)) if path else 1
        if times == 0:
            wrong.append(f"the {path} never came")
        if times > (2 if path in point.admits else 1):
            wrong.append(f"the {path} came {times} times")
    return wrong


async def _of_log(client: httpx.AsyncClient, tasks: Sequence[str]) -> list[str]:
    """Each of them ended once."""
    wrong = []
    for id in tasks:
        told = (await client.get(f"/v1/tasks/{id}/history")).json()
        ends = [fact["name"] for fact in told["items"] if fact["name"].partition(".")[2] in ENDS]
        if len(ends) != 1:
            wrong.append(f"{id} has the ends {ends}")
    return wrong


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", nargs="*", choices=sorted(POINTS), default=list(POINTS))
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="postcommit-matrix-") as folder:
        cells = asyncio.run(matrix(Path(folder), given.points))
    good = sum(not cell.wrong for cell in cells)
    if given.json:
        print(json.dumps([{name: getattr(cell, name) for name in cell.__slots__} for cell in cells], indent=2))
    print(f"{good} of {len(cells)} cells are good.", file=sys.stderr)
    sys.exit(DONE if good == len(cells) else FAILED)


if __name__ == "__main__":
    main()
