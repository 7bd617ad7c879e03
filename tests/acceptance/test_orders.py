"""Orders under kill -9: every chain in order, every notice recognisable, every sale counted once."""

import asyncio
import random
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.running import Running, balanced, definite, ended, up

KILLED = ("worker", "relay", "reader")
CHAIN = ["email_order_confirmation", "warehouse_notify", "analytics_record"]
PRICES = (1250, 999, 1, 100_000)


@pytest.mark.parametrize("count", [24, pytest.param(2_000, marks=[pytest.mark.long, pytest.mark.timeout(1_500)])])
async def test_orders_confirmed_under_kill_9_run_their_chains_in_order_and_count_once(
    tmp_path: Path, count: int
) -> None:
    chance = random.Random(count)
    with up(tmp_path, "--workers", "2") as service:
        async with service.client(timeout=10.0) as client:
            account = (await definite(client, "/v1/accounts", {"email": "a@example.com", "name": "A"}, "a"))["id"]
            items = [await _item(client, number, price) for number, price in enumerate(PRICES)]
            confirming = asyncio.create_task(_confirmed(client, account, items, chance, count))
            await _kill(service, chance, confirming)
            orders = await confirming
            tasks = await ended(client, [id for order in orders for id in order["tasks"]], 60 + count / 4)
            await balanced(client, 60)
            await service.sound(60)
            lines = await _everything(client, "/v1/events")
            reached = {"after_position": lines[-1]["position"]}
            assert (await client.get("/v1/audit", params=reached)).status_code == 200
            audit = await _everything(client, "/v1/audit")
            counted = (await client.get("/v1/analytics?per=day", params=reached)).raise_for_status().json()["totals"]
            notices = await _notices(client)
    by_id = {task["id"]: task for task in tasks}
    place = {(line["stream"], line["name"]): line["position"] for line in lines}
    for order in orders:
        chain = [by_id[id] for id in order["tasks"]]
        assert [(task["kind"], task["status"]) for task in chain] == [(kind, "complete") for kind in CHAIN]
        for before, after in pairwise(chain):
            assert place[f"task-{before['id']}", "task.completed"] < place[f"task-{after['id']}", "task.started"]
    told = {task["id"] for task in tasks if task["kind"] == "warehouse_notify"}
    assert {notice["webhook_id"] for notice in notices} == {f"task-{id}" for id in told}
    orders_told = Counter(order for order, _ in {(n["body"]["data"]["order"], n["webhook_id"]) for n in notices})
    assert set(orders_told.values()) == {1} and len(orders_told) == count
    recorded = [line["data"]["total_cents"] for line in lines if line["name"] == "order.recorded"]
    assert len(recorded) == count and sum(recorded) == sum(order["total_cents"] for order in orders)
    assert (counted["orders"], counted["orders_recorded"], counted["revenue"]) == (count, count, {"EUR": sum(recorded)})
    assert {kind: counted["tasks"][kind]["complete"] for kind in CHAIN} == dict.fromkeys(CHAIN, count)
    actions = Counter((line["subject"], line["action"]) for line in audit if line["subject"].startswith("order-"))
    steps = ("order.created", "order.confirmed", "order.recorded")
    assert actions == {(f"order-{order['id']}", step): 1 for order in orders for step in steps}


async def _item(client: httpx.AsyncClient, number: int, price_cents: int) -> dict[str, Any]:
    body = {"name": f"Item {number}", "price_cents": price_cents, "currency": "EUR"}
    item: dict[str, Any] = await definite(client, "/v1/items", body, f"item-{number}")
    return item


async def _confirmed(
    client: httpx.AsyncClient, account: str, items: list[dict[str, Any]], chance: random.Random, count: int
) -> list[dict[str, Any]]:
    """Orders made and confirmed, a few at a time; the total is what the client has computed."""
    room = asyncio.Semaphore(8)

    async def one(number: int, lines: list[tuple[dict[str, Any], int]]) -> dict[str, Any]:
        async with room:
            wanted = [{"item": item["id"], "quantity": quantity} for item, quantity in lines]
            body = {"account": account, "lines": wanted}
            order = await definite(client, "/v1/orders", body, f"order-{number}")
            told = await definite(client, f"/v1/orders/{order['id']}/confirm", {}, f"confirm-{number}")
        total = sum(item["price_cents"] * quantity for item, quantity in lines)
        assert told["total_cents"] == total
        return {"id": order["id"], "tasks": told["tasks"], "total_cents": total}

    wanted = [[(chance.choice(items), chance.randint(1, 5)) for _ in range(chance.randint(1, 3))] for _ in range(count)]
    return await asyncio.gather(*(one(number, lines) for number, lines in enumerate(wanted)))


async def _kill(service: Running, chance: random.Random, work: "asyncio.Task[Any]") -> None:
    """Worker, relay and reader in random order, twice, and on until the work is done."""
    rounds = 0
    while rounds < 2 or not work.done():
        rounds += 1
        for name in chance.sample(KILLED, len(KILLED)):
            await asyncio.sleep(chance.uniform(0.2, 2.0))
            await service.killed(name)


async def _everything(client: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = (await client.get(path, params={"after": after, "limit": 1000})).raise_for_status().json()
        found += page["items"]
        after = page["next"]
    return found


async def _notices(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    path = "/v1/notices?limit=1000"
    while path:
        answer = (await client.get(path)).raise_for_status()
        found += answer.json()["items"]
        path = answer.links["next"]["url"] if answer.json()["next"] else ""
    return found
