"""Is what exists found, at any time? Also while the index is built anew, and whoever builds it is killed."""

import asyncio
import os
import random
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from adapters.postgres.database import Database
from adapters.postgres.log import PostgresLog
from domain import compose, item
from domain.log import Entry
from infra.clock import new_id
from tests.acceptance.running import Running, ended, up
from tests.making import META
from tests.waiting import until_told

COLOURS = ("amber", "brass", "cobalt", "denim", "ebony")
SHORT, FULL = 3_500, 20_000  # items: facts enough for several steps of a rebuild


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with up(tmp_path_factory.mktemp("service")) as running:
        yield running


async def test_what_exists_is_found_and_what_is_gone_is_not(service: Running) -> None:
    async with service.client("client") as client, service.client("operator") as operator:
        lamp = await _item(client, "Lantern <b>&", "A tall *light* for reading")
        ada = (await client.post("/v1/accounts", json={"email": "ada@example.org", "name": "Ada Lovelace"})).json()
        other = await _item(operator, "Lantern of the operator", "secret")
        await until_told(lambda: _applied(service), 20)
        assert [one["id"] for one in await found(client, "lantern")] == [lamp["id"]]
        assert {one["id"] for one in await found(operator, "lantern")} == {lamp["id"], other["id"]}
        [hit] = await found(client, "tall reading")
        assert hit["highlight"].startswith("Lantern &lt;b&gt;&amp;") and "<mark>tall</mark>" in hit["highlight"]
        assert (await client.get(hit["href"])).json()["id"] == lamp["id"]
        for words in ("lanter", "LANTERN", '"light* for"', "lantern -secret", "nothing or light"):
            assert [one["id"] for one in await found(client, words)] == [lamp["id"]], words
        for words in ("ada@example.org", "lovelace", "example"):
            assert [one["id"] for one in await found(client, words)] == [ada["id"]], words
        assert await found(client, "lantern", category="account") == []

        etag = (await client.get(f"/v1/items/{lamp['id']}")).headers["etag"]
        answer = await client.patch(f"/v1/items/{lamp['id']}", json={"name": "Torch"}, headers={"If-Match": etag})
        assert answer.status_code == 200
        await client.delete(f"/v1/items/{other['id']}")
        await operator.delete(f"/v1/items/{other['id']}")
        await until_told(lambda: _applied(service), 20)
        assert await found(operator, "lantern") == []
        assert [one["id"] for one in await found(client, "torch")] == [lamp["id"]]


@pytest.mark.parametrize("items", [SHORT, pytest.param(FULL, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
async def test_the_index_is_built_anew_while_it_answers(service: Running, items: int) -> None:
    """50 questions a second meanwhile."""
    async with service.client("operator", 60) as client:
        await _many(service, items)
        await until_told(lambda: _applied(service), 120)
        await service.sql("DELETE FROM postcommit.search WHERE title LIKE 'amber%'")
        before = len(await found(client, "brass"))
        asking = [asyncio.create_task(_ask(client, "brass")) for _ in range(5)]
        rebuild = await client.post("/v1/search/rebuild")
        assert rebuild.status_code == 202, rebuild.text
        id = rebuild.json()["id"]
        await until_told(lambda: _is_half_done(service, items), 120)
        os.kill(service.pids("worker")[0], signal.SIGKILL)
        at = await service.sql("SELECT position FROM postcommit.search_rebuild")
        [task] = await ended(client, [id], 300)
        assert task["status"] == "complete", task
        assert task["attempt"] >= 2 and at > 0
        assert task["result"]["differences"] > 0, "what was missing in the old one was told of"
        for one in asking:
            one.cancel()
        told = await asyncio.gather(*asking)
        print(f"{items} items: {sum(map(len, told))} answers while it was built, none of them empty")
        assert sum(map(len, told)) > 50
        assert {status for answers in told for status, _ in answers} == {200}, "no error"
        assert all(count == before for answers in told for _, count in answers), "and no empty answer"
        assert len(await found(client, "amber", limit=100)) == 100, "what was missing is there again"
        again = await client.post("/v1/search/rebuild")
        [task] = await ended(client, [again.json()["id"]], 120)
        assert (task["status"], task["result"]["differences"]) == ("complete", 0), "old and new agree"
        assert await service.sql("SELECT count(*) FROM postcommit.search_next") == 0
    await service.sound(60)


async def test_hits_come_page_by_page(service: Running) -> None:
    async with service.client("operator") as client:
        whole = [one["id"] for one in await found(client, "cobalt", limit=100)]
        paged: list[str] = []
        answer = await client.get("/v1/search", params={"q": "cobalt", "limit": 30})
        while True:
            paged += [one["id"] for one in answer.json()["items"]]
            if answer.json()["next"] is None or len(paged) >= 90:
                break
            answer = await client.get("/v1/search", params={"q": "cobalt", "limit": 30, "after": answer.json()["next"]})
        assert paged == whole[: len(paged)] and len(set(paged)) == len(paged) == 90


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 422),
        ({"q": " "}, 422),
        ({"q": "x" * 300}, 422),
        ({"q": "a", "category": "car"}, 422),
        ({"q": "&|!()<>:*'"}, 200),
    ],
)
async def test_what_cannot_be_meant_is_refused(service: Running, query: Any, status: int) -> None:
    async with service.client("client") as client:
        assert (await client.get("/v1/search", params=query)).status_code == status
        assert (await client.post("/v1/search/rebuild")).status_code == 403
        answer = await client.post("/v1/tasks", json={"kind": "search_rebuild", "request": {}})
        assert answer.status_code == 422, "nobody asks for it by another way"


async def found(client: httpx.AsyncClient, words: str, **more: Any) -> list[dict[str, Any]]:
    answer = await client.get("/v1/search", params={"q": words} | more)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


async def _item(client: httpx.AsyncClient, name: str, description: str) -> dict[str, Any]:
    details = {"name": name, "description": description, "price_cents": 1, "currency": "EUR"}
    return dict((await client.post("/v1/items", json=details)).raise_for_status().json())


async def _many(service: Running, items: int) -> None:
    """Items as the REST API writes them, a hundred in one append."""
    chance, database = random.Random(1), Database(service.told["postgres"], 2)
    log, entries = PostgresLog(database), []
    for number in range(items):
        name = f"{COLOURS[number % 5]} {chance.randrange(10**6)}"
        created = item.Created(details=item.Details(name=name, description="of many", price_cents=1, currency="EUR"))
        entries.append(Entry(compose.of_thing(new_id(), 0, [created], META, datetime.now(UTC), new_id)))
    try:
        for first in range(0, items, 100):
            await asyncio.gather(*(log.append(entry) for entry in entries[first : first + 100]))
    finally:
        await database.close()


async def _ask(client: httpx.AsyncClient, words: str) -> list[tuple[int, int]]:
    """Ten times a second, until it is cancelled: the status of each answer, and how much it found."""
    told: list[tuple[int, int]] = []
    try:
        while True:
            answer = await client.get("/v1/search", params={"q": words})
            told.append((answer.status_code, len(answer.json().get("items", []))))
            await asyncio.sleep(0.1)
    except asyncio.CancelledError:
        return told


async def _applied(service: Running) -> bool:
    query = (
        "SELECT position = (SELECT max(position) FROM postcommit.ledger) FROM postcommit.cursors WHERE name = 'search'"
    )
    numbered = await service.sql("SELECT count(*) = 0 FROM postcommit.outbox")
    return bool(numbered and await service.sql(query))


async def _is_half_done(service: Running, items: int) -> bool:
    half = "SELECT max(position) > $1::bigint / 2 FROM postcommit.search_rebuild"
    return bool(await service.sql(half, items if items > SHORT else 1))
