"""Items and orders over HTTP: made, changed, deleted, confirmed; and what is refused."""

import asyncio
from base64 import urlsafe_b64encode
from hashlib import blake2b
from typing import Any
from uuid import uuid4

import pytest

from tests.flows.conftest import Api

CHAIR = {"name": "Chair", "price_cents": 1250, "currency": "EUR"}
ANN = {"email": "ann@example.com", "name": "Ann"}


async def made(api: Api, path: str, body: dict[str, Any], by: str = "client") -> dict[str, Any]:
    async with api.by(by) as client:
        answer = await client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"{path}/{told['id']}"
    return told


async def an_order(api: Api, by: str = "client", **more: Any) -> dict[str, Any]:
    account, item = await made(api, "/v1/accounts", ANN, by), await made(api, "/v1/items", CHAIR, by)
    lines = [{"item": item["id"], "quantity": 3}]
    return await made(api, "/v1/orders", {"account": account["id"], "lines": lines, **more}, by)


async def test_an_item_is_read_as_it_was_made_and_again_only_when_it_changed(api: Api) -> None:
    item = await made(api, "/v1/items", CHAIR | {"description": "Oak."})
    async with api.by("client") as client:
        answer = await client.get(f"/v1/items/{item['id']}")
        assert {name: answer.json()[name] for name in CHAIR} == CHAIR and answer.json()["description"] == "Oak."
        again = await client.get(f"/v1/items/{item['id']}", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_an_item_is_changed_by_whoever_has_seen_it_as_it_is(api: Api) -> None:
    item = await made(api, "/v1/items", CHAIR)
    path = f"/v1/items/{item['id']}"
    async with api.by("client") as client:
        blind = await client.patch(path, json={"price_cents": 1})
        first = await client.patch(path, json={"price_cents": 1300}, headers={"If-Match": '"1"'})
        late = await client.patch(path, json={"price_cents": 1400}, headers={"If-Match": '"1"'})
        same = await client.patch(path, json={"price_cents": 1300}, headers={"If-Match": '"2"'})
        found = await client.get(path)
    assert [blind.status_code, first.status_code, late.status_code, same.status_code] == [428, 200, 412, 200]
    assert (first.headers["etag"], late.headers["etag"], same.json()["events"]) == ('"2"', '"2"', [])
    assert (found.json()["price_cents"], found.json()["name"]) == (1300, "Chair")


async def test_a_deleted_item_is_gone_for_good(api: Api) -> None:
    item = await made(api, "/v1/items", CHAIR)
    path = f"/v1/items/{item['id']}"
    async with api.by("client") as client:
        stale = await client.delete(path, headers={"If-Match": '"7"'})
        answer = await client.delete(path)
        later = [await client.get(path), await client.delete(path)]
        later.append(await client.patch(path, json={"name": "Table"}, headers={"If-Match": "*"}))
        listed = await client.get("/v1/items", params={"limit": 1000})
    assert (stale.status_code, answer.status_code) == (412, 200)
    assert [one.status_code for one in later] == [410, 410, 410]
    assert later[0].json()["type"] == "/problems/gone" and later[0].json()["deleted_at"]
    assert item["id"] not in [one["id"] for one in listed.json()["items"]]


async def test_a_deletion_says_in_the_log_what_was_deleted_and_by_whom(api: Api) -> None:
    item = await made(api, "/v1/items", CHAIR)
    async with api.by("operator", **{"X-Request-ID": "r-del"}) as client:
        await client.delete(f"/v1/items/{item['id']}")
    [*_, last] = await api.service.log.read(f"item-{item['id']}")
    assert last.fact.event.before.name == "Chair"  # type: ignore[union-attr]
    assert (last.fact.meta.actor, last.fact.meta.request_id) == ("operator", "r-del")


async def test_things_of_others_do_not_exist_for_a_client(api: Api) -> None:
    order = await an_order(api, by="other")
    item = order["lines"][0]["item"]
    async with api.by("client") as client:
        answers = [
            await client.get(f"/v1/items/{item}"),
            await client.patch(f"/v1/items/{item}", json={}, headers={"If-Match": "*"}),
            await client.delete(f"/v1/items/{item}"),
            await client.get(f"/v1/orders/{order['id']}"),
            await client.post(f"/v1/orders/{order['id']}/confirm"),
        ]
        lists = [
            (await client.get(f"/v1/{name}", params={"limit": 1000})).json()["items"] for name in ("items", "orders")
        ]
    assert [one.status_code for one in answers] == [404] * 5
    assert not {item, order["id"]} & {one["id"] for items in lists for one in items}


@pytest.mark.parametrize("name", ["items", "orders", "accounts"])
async def test_lists_are_walked_page_by_page_newest_first(api: Api, name: str) -> None:
    for _ in range(5):
        await an_order(api)
    found: list[str] = []
    async with api.by("operator") as client:
        everything = (await client.get(f"/v1/{name}", params={"limit": 1000})).json()["items"]
        path = f"/v1/{name}?limit=2"
        while path:
            answer = await client.get(path)
            found += [one["id"] for one in answer.json()["items"]]
            path = answer.links["next"]["url"] if answer.json()["next"] else ""
    assert found == [one["id"] for one in everything] and len(found) >= 5
    assert found == sorted(found, reverse=True)


async def test_a_cursor_of_another_list_or_a_changed_one_is_refused(api: Api) -> None:
    for _ in range(2):
        await an_order(api)
    async with api.operator as client:
        cursor = (await client.get("/v1/orders?limit=1")).json()["next"]
        for path in ("/v1/items", "/v1/orders"):
            tampered = cursor if path == "/v1/items" else cursor[:-2] + ("AA" if cursor[-2:] != "AA" else "BB")
            answer = await client.get(path, params={"after": tampered})
            assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (422, "after")
        tasks = (await client.get("/v1/tasks?limit=1&kind=email_welcome")).json()["next"]
        other = await client.get("/v1/tasks", params={"after": tasks, "kind": "probe"})
        assert other.status_code == 422
        for path in ("/v1/tasks", "/v1/orders"):  # whoever knows how a cursor is marked may forge one
            mark = blake2b(repr((path, [], "nothing")).encode(), digest_size=8).digest()
            forged = urlsafe_b64encode(mark + b"nothing").decode().rstrip("=")
            assert (await client.get(path, params={"after": forged})).status_code == 422


@pytest.mark.parametrize(
    ("change", "pointer", "words"),
    [
        ({"account": str(uuid4())}, "/account", "There is no account"),
        ({"lines": [{"item": str(uuid4()), "quantity": 1}]}, "/lines/0/item", "There is no item"),
        ({"lines": []}, "/lines", "length >= 1"),
        ({"lines": [{"item": "x", "quantity": 1}]}, "/lines/0/item", "UUID"),
        ({"notify": "ftp://example.com/"}, "/notify", "scheme"),
        ({"notify": "https://10.0.0.1/hook"}, "/notify", "private"),
        ({"notify": "http://example.com/hook"}, "/notify", "scheme"),
        ({"total_cents": 1}, "/total_cents", "no field"),
    ],
)
async def test_a_bad_order_is_refused_with_the_place_and_nothing_is_stored(
    api: Api, change: dict[str, Any], pointer: str, words: str
) -> None:
    account, item = await made(api, "/v1/accounts", ANN), await made(api, "/v1/items", CHAIR)
    before = await api.stored()
    body = {"account": account["id"], "lines": [{"item": item["id"], "quantity": 1}]} | change
    async with api.by("client") as client:
        answer = await client.post("/v1/orders", json=body)
    assert answer.status_code == 422
    [flaw] = answer.json()["errors"]
    assert flaw["pointer"] == pointer and words in flaw["detail"]
    assert await api.stored() == before


async def test_a_confirmation_requests_its_chain_once_and_says_so_again(api: Api) -> None:
    order = await an_order(api)
    path = f"/v1/orders/{order['id']}"
    assert (order["status"], order["total_cents"], order["tasks"]) == ("draft", 3750, [])
    async with api.by("client") as client:
        first = await client.post(f"{path}/confirm", headers={"Idempotency-Key": "k-1"})
        again = await client.post(f"{path}/confirm", headers={"Idempotency-Key": "k-1"})
        other = await client.post(f"{path}/confirm")
        found = (await client.get(path)).json()
        tasks = [(await client.get(f"/v1/tasks/{id}")).json() for id in found["tasks"]]
    assert [first.status_code, again.status_code, other.status_code] == [202, 202, 200]
    assert again.headers["idempotency-replayed"] == "true" and again.content == first.content
    assert first.json()["tasks"] == other.json()["tasks"] == found["tasks"]
    assert [task["status"] for task in tasks] == ["queued", "waiting", "waiting"]
    assert [task["needs"] for task in tasks] == [[], [tasks[0]["id"]], [tasks[1]["id"]]]
    assert found["status"] == "confirmed" and len(first.json()["events"]) == 4


async def test_of_many_confirmations_at_once_one_is_written(api: Api) -> None:
    order = await an_order(api)
    async with api.by("client") as client:
        answers = await asyncio.gather(*(client.post(f"/v1/orders/{order['id']}/confirm") for _ in range(12)))
    assert sorted(one.status_code for one in answers) == [200] * 11 + [202]
    assert len({tuple(one.json()["tasks"]) for one in answers}) == 1
