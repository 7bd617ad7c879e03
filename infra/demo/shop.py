"""The demo's shop: an order with its three tasks in order, and a deletion with its line in the audit."""

from typing import Any

import httpx

from infra.demo.telling import ended, need, say, title

PRICE_CENTS = 4_900
LAMP = {"name": "Lamp", "price_cents": PRICE_CENTS, "currency": "EUR"}
QUANTITY = 2
TOTAL_CENTS = QUANTITY * PRICE_CENTS
CHAIN = ("email_order_confirmation", "warehouse_notify", "analytics_record")


async def order(client: httpx.AsyncClient) -> None:
    title("2. An order: three tasks, strictly one after the other")
    account = await _made(client, "/v1/accounts", {"email": "grace@example.com", "name": "Grace"})
    lamp = await _made(client, "/v1/items", LAMP)
    lines = [{"item": lamp["id"], "quantity": QUANTITY}]
    made = await _made(client, "/v1/orders", {"account": account["id"], "lines": lines})
    answer = await client.post(f"/v1/orders/{made['id']}/confirm")
    say(f"   POST /v1/orders/{made['id']}/confirm → {answer.status_code}")
    tasks = [await ended(client, id) for id in answer.json()["tasks"]]
    for task in tasks:
        say(f"     {task['kind']:<25} {task['status']}  {_clock(task['started_at'])} to {_clock(task['finished_at'])}")
    need(all(task["status"] == "complete" for task in tasks), "not every task of the order is complete")
    times = [time for task in tasks for time in (task["started_at"], task["finished_at"])]
    need(times == sorted(times), "the tasks did not run one after the other")
    await _notice(client, tasks[1])


async def _notice(client: httpx.AsyncClient, task: dict[str, Any]) -> None:
    found = (await client.get("/v1/notices")).json()["items"][0]
    say("   The notice as the warehouse received it, its signature verified:")
    for name in ("webhook_id", "webhook_signature"):
        say(f"     {name.replace('_', '-')}: {found[name]}")
    say(f"     {found['body']['type']}: {found['body']['data']['lines'][0]['quantity']} x {LAMP['name']}")
    need(found["webhook_id"] == task["result"]["webhook_id"], "the notice received is not the notice recorded")


async def deletion(client: httpx.AsyncClient) -> None:
    title("3. A deletion, and what the audit says of it")
    item = await _made(client, "/v1/items", LAMP | {"name": "Old lamp"})
    path = f"/v1/items/{item['id']}"
    gone = (await client.delete(path)).json()
    status = (await client.get(path)).status_code
    say(f"   DELETE {path} → 200, and from now on GET → {status}")
    found = await client.get(
        "/v1/audit",
        params={"subject": f"item-{item['id']}", "action": "item.deleted", "after_event": gone["events"][0]},
    )
    [line] = found.json()["items"]
    say(f"   {line['at']}  {line['actor']} from {line['address']}: {line['action']}, position {line['position']}")
    say(f"     before: {line['before']['name']}, {line['before']['price_cents']} cents")
    need(status == 410 and line["actor"] == "operator", "the deletion is not told as it was")


async def _made(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post(path, json=body)
    need(answer.status_code == 201, f"POST {path} was answered with {answer.status_code}: {answer.text}")
    made: dict[str, Any] = answer.json()
    return made


def _clock(time: str) -> str:
    """The time of day of an RFC 3339 time, to the millisecond."""
    return time.partition("T")[2][:12]
