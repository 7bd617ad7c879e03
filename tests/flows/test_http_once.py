"""Is a request with an Idempotency-Key done once, and answered the same every time?"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asyncpg.transaction import Transaction
from httpx import Response

from tests.flows.conftest import Api
from tests.flows.test_http_tasks import PROBE, assert_problem, fail, requested


def key(text: str) -> dict[str, str]:
    return {"Idempotency-Key": text}


async def test_fifty_at_once_make_one_task_and_get_one_answer(api: Api) -> None:
    before = await api.stored()
    async with api.operator as http:
        answers = await asyncio.gather(*(http.post("/v1/tasks", json=PROBE, headers=key("fifty")) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 49
    assert await api.stored() == before + 2  # one fact, one answer


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/tasks", PROBE),
        ("/v1/tasks/batch", [PROBE, PROBE]),
        ("/v1/accounts", {"email": "ann@example.com", "name": "Ann"}),
    ],
)
async def test_the_first_answer_is_given_again_byte_for_byte(api: Api, path: str, body: Any) -> None:
    async with api.operator as http:
        first = await http.post(path, json=body, headers=key(f"again {path}".replace(" ", "-")))
        before = await api.stored()
        again = await http.post(path, json=body, headers=key(f'"again-{path}"'))
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers.get("location") == first.headers.get("location")
        assert again.headers["idempotency-replayed"] == "true"
        assert "idempotency-replayed" not in first.headers
        assert await api.stored() == before
        assert_problem(await http.post(path, json={"other": 1}, headers=key("x")), 422, "invalid")


async def test_the_order_of_names_makes_no_other_request(api: Api) -> None:
    async with api.operator as http:
        one = b'{"kind":"probe","request":{"work_s":1,"payload":2}}'
        two = b'{ "request": {"payload": 2, "work_s": 1}, "kind": "probe" }'
        json = {"Content-Type": "application/json"} | key("order")
        answers = [await http.post("/v1/tasks", content=body, headers=json) for body in (one, two)]
        assert answers[0].content == answers[1].content


async def test_another_request_under_the_same_key_is_refused(api: Api) -> None:
    async with api.operator as http:
        await http.post("/v1/tasks", json=PROBE, headers=key("used"))
        before = await api.stored()
        other = {"kind": "probe", "request": {"payload": 1}}
        assert_problem(await http.post("/v1/tasks", json=other, headers=key("used")), 422, "key-reused")
        assert await api.stored() == before


@asynccontextmanager
async def running(api: Api, name: str) -> AsyncIterator[Transaction]:
    """A first request with the key, held up between its statement and its commit."""
    async with api.database.driver() as connection:
        first = connection.transaction()
        await first.start()
        await connection.execute(
            """INSERT INTO postcommit.idempotency (holder, route, key, fingerprint, status, location, body)
            SELECT holder, route, $1, fingerprint, status, location, body
            FROM postcommit.idempotency WHERE key = 'model'""",
            name,
        )
        yield first


async def test_who_comes_while_the_first_still_runs_waits_for_its_answer(api: Api) -> None:
    async with api.operator as http:
        model = await http.post("/v1/tasks", json=PROBE, headers=key("model"))
        async with running(api, "runs") as first:
            asking = asyncio.create_task(http.post("/v1/tasks", json=PROBE, headers=key("runs")))
            await asyncio.wait({asking}, timeout=3.5)
            assert not asking.done()
            await first.commit()
            answer = await asking
        assert (answer.content, answer.headers["idempotency-replayed"]) == (model.content, "true")


async def test_who_waits_for_five_seconds_is_told_so_and_keeps_nobody_else_waiting(api: Api) -> None:
    async with api.operator as http:
        await http.post("/v1/tasks", json=PROBE, headers=key("model"))
        took: dict[str, float] = {}

        async def post(name: str, keyed: bool) -> Response:
            began = time.monotonic()
            answer = await http.post("/v1/tasks", json=PROBE, headers=key(name) if keyed else {})
            took[name] = time.monotonic() - began
            return answer

        async with running(api, "runs-on") as first, standstill() as longest:
            posts = [post(f"keyed-{n}", True) for n in range(30)] + [post(f"free-{n}", False) for n in range(30)]
            refused, *others = await asyncio.gather(post("runs-on", True), *posts)
            await first.rollback()
        assert_problem(refused, 409, "underway")
        assert {answer.status_code for answer in others} == {202}
        slowest = {kind: max(took[name] for name in took if name.startswith(kind)) for kind in ("free", "keyed")}
        assert slowest["free"] - longest() < 0.8 < 4 < took["runs-on"] < 8
        assert slowest["keyed"] - longest() < 4
        assert (await http.post("/v1/tasks", json=PROBE, headers=key("runs-on"))).status_code == 202


@asynccontextmanager
async def standstill() -> AsyncIterator[Callable[[], float]]:
    """How long this loop stood still at most, in seconds: for that the machine is to blame, and no lock."""
    pauses = [0.0]

    async def look() -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            pauses.append(time.monotonic() - began)

    looking = asyncio.create_task(look())
    try:
        yield lambda: max(pauses)
    finally:
        looking.cancel()


async def test_a_table_that_is_locked_is_not_taken_for_a_key_that_is(api: Api) -> None:
    async with api.operator as http, api.database.driver() as other:
        async with other.transaction():
            await other.execute("LOCK TABLE postcommit.idempotency")
            answer = await http.post("/v1/tasks", json=PROBE, headers=key("locked-out"))
        assert_problem(answer, 503, "unavailable")


async def test_a_key_belongs_to_its_holder_and_its_route(api: Api) -> None:
    async with api.operator as http, api.by("client") as client:
        answers = [
            await http.post("/v1/tasks", json=PROBE, headers=key("scoped")),
            await client.post("/v1/tasks", json=PROBE, headers=key("scoped")),
            await http.post("/v1/tasks/batch", json=[PROBE], headers=key("scoped")),
        ]
        assert not any("idempotency-replayed" in answer.headers for answer in answers)


@pytest.mark.parametrize("change", ["cancel", "retry"])
async def test_a_change_is_made_once_and_answered_alike(api: Api, change: str) -> None:
    async with api.operator as http:
        task = await requested(http)
        other = await requested(http)
        if change == "retry":
            await fail(api, task["id"])
            await fail(api, other["id"])
        url, headers = task["links"][change], key(f"change-{change}")
        answers = await asyncio.gather(*(http.post(url, headers=headers) for _ in range(10)))
        answers.append(await http.post(url, headers=headers))
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.content for answer in answers}) == 1
        assert sum("idempotency-replayed" in answer.headers for answer in answers) == 10
        assert_problem(await http.post(other["links"][change], headers=headers), 422, "key-reused")


@pytest.mark.parametrize("text", ["", '""', "a b", "é", "x" * 256, "\x7f"])
async def test_a_key_that_cannot_be_one_is_refused(api: Api, text: str) -> None:
    before = await api.stored()
    async with api.operator as http:
        answer = await http.post("/v1/tasks", json=PROBE, headers={b"Idempotency-Key": text.encode("latin-1")})
        assert_problem(answer, 400, "bad-idempotency-key")
    assert await api.stored() == before
