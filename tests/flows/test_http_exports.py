"""The audit with its filters, and whole lists as NDJSON and CSV."""

import csv
import io
import json
from typing import Any

import pytest

from tests.flows.conftest import Api
from tests.flows.test_http_orders import CHAIR, an_order, made

PROBE = {"kind": "probe", "request": {}}


async def audited(api: Api, **filters: Any) -> list[dict[str, Any]]:
    async with api.by("auditor") as client:
        answer = await client.get("/v1/audit", params={"limit": 1000, **filters})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def test_a_change_is_audited_with_what_was_before_and_after(api: Api) -> None:
    item = await made(api, "/v1/items", CHAIR)
    path = f"/v1/items/{item['id']}"
    async with api.by("operator", **{"X-Request-ID": "r-1"}) as client:
        await client.patch(path, json={"price_cents": 1300}, headers={"If-Match": "*"})
        await client.delete(path)
    await api.number()
    await api.fold("audit")
    created, changed, deleted = await audited(api, subject=f"item-{item['id']}")
    assert [one["action"] for one in (created, changed, deleted)] == ["item.created", "item.changed", "item.deleted"]
    assert (created["actor"], created["before"], created["after"]["name"]) == ("client", None, "Chair")
    assert (changed["before"], changed["after"]) == ({"price_cents": 1250}, {"price_cents": 1300})
    assert (deleted["before"]["price_cents"], deleted["after"]) == (1300, None)
    assert (deleted["actor"], deleted["request_id"], deleted["address"]) == ("operator", "r-1", "127.0.0.1")


async def test_nothing_personal_stands_in_the_audit(api: Api) -> None:
    await made(api, "/v1/accounts", {"email": "secret@example.com", "name": "Somebody Secret"})
    await api.number()
    await api.fold("audit")
    assert "ecret" not in json.dumps(await audited(api))


async def test_the_audit_is_filtered_by_what_its_indexes_serve(api: Api) -> None:
    order = await an_order(api, by="other")
    async with api.by("operator", **{"X-Request-ID": "r-filter"}) as client:
        await client.post(f"/v1/orders/{order['id']}/confirm")
    await api.number()
    await api.fold("audit")
    everything = await audited(api)
    by_action = await audited(api, action="order.confirmed")
    assert by_action == [one for one in everything if one["action"] == "order.confirmed"] and by_action
    assert {one["request_id"] for one in await audited(api, request_id="r-filter")} == {"r-filter"}
    assert len(await audited(api, request_id="r-filter")) == 4
    begin, end = everything[2]["at"], everything[-1]["at"]
    between = await audited(api, since=begin, until=end)
    assert between == [one for one in everything if begin <= one["at"] < end] and 0 < len(between) < len(everything)
    assert await audited(api, since="2099-01-01T00:00:00Z") == []


@pytest.mark.parametrize("path", ["/v1/audit?since=yesterday", "/v1/audit?action=%00"])
async def test_a_bad_filter_of_the_audit_is_refused(api: Api, path: str) -> None:
    async with api.by("auditor") as client:
        assert (await client.get(path)).status_code == 422


async def test_the_audit_is_exported_whole_as_ndjson_and_csv(api: Api) -> None:
    async with api.by("client") as client:
        await client.post("/v1/tasks/batch", json=[PROBE] * 600)
        await client.post("/v1/tasks/batch", json=[PROBE] * 600)
    await made(api, "/v1/items", CHAIR | {"name": "=1+1"})
    await api.number()
    await api.fold("audit")
    async with api.by("auditor") as client:
        lines = (await client.get("/v1/audit", headers={"Accept": "application/x-ndjson"})).text.splitlines()
        table = await client.get("/v1/audit", headers={"Accept": "text/csv"})
        some = (await client.get("/v1/audit?limit=7&after=2", headers={"Accept": "application/x-ndjson"})).text
    found = [json.loads(line) for line in lines]
    assert [one["position"] for one in found] == list(range(1, len(found) + 1)) and len(found) > 1_200
    assert table.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(table.text, newline="")))
    assert [int(row["position"]) for row in rows] == [one["position"] for one in found]
    assert json.loads(next(row["after"] for row in rows if row["action"] == "item.created"))["name"]
    assert [json.loads(line)["position"] for line in some.splitlines()] == list(range(3, 10))


async def test_events_and_tasks_are_exported_whole_as_ndjson(api: Api) -> None:
    async with api.by("client") as client:
        await client.post("/v1/tasks/batch", json=[PROBE] * 1_000)
        await client.post("/v1/tasks/batch", json=[PROBE] * 200)
    await api.number()
    ndjson = {"Accept": "application/x-ndjson"}
    async with api.operator as client:
        answer = await client.get("/v1/events", headers=ndjson)
        tasks = (await client.get("/v1/tasks", params={"by": "client"}, headers=ndjson)).text.splitlines()
        few = (await client.get("/v1/tasks?limit=3", headers=ndjson)).text.splitlines()
        page = (await client.get("/v1/events?limit=1")).json()
    positions = [json.loads(line)["position"] for line in answer.text.splitlines()]
    assert positions == list(range(1, page["head"] + 1)) and len(positions) > 1_200
    assert answer.headers["postcommit-epoch"] == page["epoch"]
    ids = [json.loads(line)["id"] for line in tasks]
    assert len(ids) >= 1_200 and ids == sorted(set(ids), reverse=True)
    assert [json.loads(line)["id"] for line in few] == ids[:3] or len(few) == 3


async def test_what_is_no_filter_of_an_export_is_refused_before_anything_is_sent(api: Api) -> None:
    async with api.operator as client:
        answer = await client.get("/v1/tasks?queue=email", headers={"Accept": "application/x-ndjson"})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
