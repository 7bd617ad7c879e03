"""What does a caller see of tasks?"""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from httpx import AsyncClient, Response

from domain import compose
from domain.holding import Change
from domain.log import Meta
from domain.outcome import Done, Error, Progress, Refused
from domain.probe import KIND
from domain.task import finish
from infra.clock import Clock
from tests.flows.conftest import Api
from tests.waiting import until

PROBE: dict[str, Any] = {"kind": "probe", "request": {}}
FIELDS = [
    *("id", "kind", "queue", "status", "attempt", "max_attempts", "progress", "request", "result", "error"),
    *("created_at", "due_at", "started_at", "finished_at", "by", "needs", "retry_of", "retried_as"),
    *("cancel_requested", "stream", "position", "links"),
]


async def requested(http: AsyncClient, **request: Any) -> dict[str, Any]:
    answer = await http.post("/v1/tasks", json={"kind": "probe", "request": request})
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def end(api: Api, id: str, outcome: Done | Refused) -> None:
    """Do a worker's part: end the attempt."""
    clock, known = Clock(), UUID(id)
    before = (await api.tasks.get([known]))[known]
    events = finish(before, KIND, before.turn, outcome, clock.now(), 0.5)
    facts, after = compose.of_task(known, before, events, Meta(actor="worker/w1"), clock.now(), clock.new_id)
    assert await api.tasks.settle([Change(known, after, facts, turn=before.turn)], "worker/w1") == {known}


async def fail(api: Api, id: str) -> None:
    await api.claim(id)
    await end(api, id, Refused(error=Error(type="no", detail="It was refused.")))


async def complete(api: Api, id: str) -> None:
    await api.claim(id)
    await end(api, id, Done(result={"payload": None, "attempt": 1}))


async def test_a_task_that_was_accepted_can_be_asked_for_at_once(api: Api) -> None:
    async with api.operator as http:
        answer = await http.post("/v1/tasks", json={"kind": "probe", "request": {"payload": "x"}})
        assert answer.status_code == 202
        task = answer.json()
        assert answer.headers["location"] == f"/v1/tasks/{task['id']}"
        assert answer.headers["retry-after"] == "1"
        assert task["tasks"] == [task["id"]]
        assert len(task["events"]) == 1
        assert UUID(task["id"]).version == 7
        assert api.rung[-1] == {"default": [UUID(task["id"])]}

        told = await http.get(answer.headers["location"])
        assert (told.status_code, told.headers["etag"]) == (200, '"1"')
        assert list(told.json()) == FIELDS
        assert told.json() == {name: task[name] for name in FIELDS}
        assert (task["status"], task["by"], task["request"]) == ("queued", "operator", {"payload": "x"})
        assert task["created_at"].endswith("Z")


async def test_a_task_knows_its_position_once_the_relay_has_numbered_it(api: Api) -> None:
    async with api.operator as http:
        task = await requested(http)
        assert task["position"] is None
        await api.number()
        assert (await http.get(task["links"]["self"])).json()["position"] >= 1


@pytest.mark.parametrize(
    "payload", ["a\u0000b", "😀", 2**64, -(2**80), 1.5e300, {"\u0000": [None, True]}, [[[]]], "\ufffe\uffff"]
)
async def test_whatever_json_can_say_comes_back_as_it_was(api: Api, payload: Any) -> None:
    async with api.operator as http:
        task = await requested(http, payload=payload)
        told = (await http.get(task["links"]["self"])).json()
        assert told["request"] == task["request"] == {"payload": payload}


async def test_a_task_that_is_due_later_is_scheduled(api: Api) -> None:
    due_at = datetime.now(UTC) + timedelta(hours=1)
    async with api.operator as http:
        answer = await http.post("/v1/tasks", json=PROBE | {"due_at": due_at.isoformat()})
        assert answer.json()["status"] == "scheduled"
        assert datetime.fromisoformat(answer.json()["due_at"]) == due_at
        assert api.rung[-1] == {}


async def test_a_batch_is_accepted_in_order(api: Api) -> None:
    async with api.operator as http:
        answer = await http.post("/v1/tasks/batch", json=[PROBE | {"request": {"payload": n}} for n in range(1_000)])
        assert answer.status_code == 202
        told = answer.json()
        assert [item["request"]["payload"] for item in told["items"]] == list(range(1_000))
        assert told["tasks"] == [item["id"] for item in told["items"]]
        assert len(set(told["events"])) == 1_000
        assert len(api.rung[-1]["default"]) == 1_000
        assert (await http.get(told["items"][999]["links"]["self"])).status_code == 200


async def test_who_waits_is_told_as_soon_as_the_task_has_ended(api: Api) -> None:
    async with api.operator as http:
        task = await requested(http)
        waiting = [asyncio.create_task(http.get(task["links"]["self"] + "?wait=20")) for _ in range(20)]
        preferring = asyncio.create_task(http.get(task["links"]["self"], headers={"Prefer": "wait=20"}))
        await complete(api, task["id"])
        for answer in await asyncio.gather(*waiting, preferring):
            assert answer.json()["status"] == "complete"
            assert answer.json()["result"] == {"payload": None, "attempt": 1}
        assert (await preferring).headers["preference-applied"] == "wait=20"


async def test_a_request_may_wait_for_its_result(api: Api) -> None:
    async with api.operator as http:
        before = len(api.rung)
        asking = asyncio.create_task(http.post("/v1/tasks", json=PROBE, headers={"Prefer": "wait=20"}))
        await until(lambda: len(api.rung) > before)
        [id] = api.rung[-1]["default"]
        await complete(api, str(id))
        answer = await asking
        assert (answer.status_code, answer.json()["status"]) == (200, "complete")
        assert answer.headers["preference-applied"] == "wait=20"
        assert answer.json()["tasks"] == [str(id)]


async def test_a_request_that_waited_in_vain_is_accepted_all_the_same(api: Api) -> None:
    async with api.operator as http:
        answer = await http.post("/v1/tasks", json=PROBE, headers={"Prefer": "respond-async, wait=1"})
        assert (answer.status_code, answer.headers["preference-applied"]) == (202, "wait=1")


async def test_five_hundred_waiters_cost_one_question_at_a_time(api: Api) -> None:
    asked: list[int] = []
    look = api.service.queries.glance

    async def counted(ids: Any) -> Any:
        asked.append(len(ids))
        return await look(ids)

    api.app.state.desk.tasks._look = counted
    async with api.operator as http:
        batch = (await http.post("/v1/tasks/batch", json=[PROBE] * 500)).json()
        began = time.monotonic()
        answers = await asyncio.gather(*(http.get(f"/v1/tasks/{id}?wait=2") for id in batch["tasks"]))
        assert {answer.json()["status"] for answer in answers} == {"queued"}
        assert max(asked) == 500
        assert len(asked) <= (time.monotonic() - began) / 0.05 + 1


async def test_what_has_not_changed_is_not_told_again(api: Api) -> None:
    async with api.operator as http:
        task = await requested(http)
        url = task["links"]["self"]
        first = await http.get(url)
        known = {"If-None-Match": first.headers["etag"]}
        for waiting in ("", "?wait=1"):
            answer = await http.get(url + waiting, headers=known)
            assert (answer.status_code, answer.content) == (304, b"")
            assert answer.headers["etag"] == first.headers["etag"]
        waiting_for_change = asyncio.create_task(http.get(url + "?wait=20", headers=known))
        await api.claim(task["id"])
        changed = await waiting_for_change
        assert changed.json()["status"] == "in_progress"
        assert changed.headers["etag"] != first.headers["etag"]


async def test_fine_progress_changes_the_etag(api: Api) -> None:
    async with api.operator as http:
        task = await requested(http)
        await api.claim(task["id"])
        before = (await http.get(task["links"]["self"])).headers["etag"]
        await api.tasks.extend([(UUID(task["id"]), 1, Progress(done=1, total=100, unit="%"))], 10.0)
        after = await http.get(task["links"]["self"], headers={"If-None-Match": before})
        assert after.status_code == 200
        assert after.json()["progress"] == {"done": 1, "total": 100, "unit": "%", "note": ""}
        assert after.headers["etag"] != before


async def test_a_list_is_walked_page_by_page_and_filtered(api: Api) -> None:
    async with api.by("other") as http:
        ids = [(await requested(http))["id"] for _ in range(5)]
        seen, url = [], "/v1/tasks?limit=2&status=queued&status=failed"
        while url:
            answer = await http.get(url)
            seen += [item["id"] for item in answer.json()["items"]]
            link = answer.links.get("next", {}).get("url")
            assert (link is None) == (answer.json()["next"] is None)
            url = link or ""
        assert seen == ids[::-1]
        none = ("status=failed", "kind=email_welcome", "queue=email", "by=operator", "until=2020-01-01T00:00:00Z")
        for query in none:
            assert (await http.get(f"/v1/tasks?{query}")).json() == {"items": [], "next": None}
        assert len((await http.get("/v1/tasks?since=2020-01-01T00:00:00Z&by=other&kind=probe")).json()["items"]) == 5


async def test_the_history_tells_every_event_and_every_attempt(api: Api) -> None:
    async with api.by("client", **{"X-Request-ID": "r-1"}) as http:
        task = await requested(http)
        await fail(api, task["id"])
        await api.number()
        told = (await http.get(task["links"]["history"])).json()
        assert [(item["name"], item["version"], item["attempt"], item["actor"]) for item in told["items"]] == [
            ("task.queued", 1, 0, "client"),
            ("task.started", 2, 1, "worker/w1"),
            ("task.failed", 3, 1, "worker/w1"),
        ]
        assert told["items"][0]["request_id"] == "r-1"
        assert all(item["position"] for item in told["items"])
        [attempt] = told["attempts"]
        assert (attempt["attempt"], attempt["turn"], attempt["worker"]) == (1, 1, "w1")
        assert (attempt["outcome"], attempt["error"]) == ("failed", {"type": "no", "detail": "It was refused."})
        assert attempt["started_at"] <= attempt["ended_at"]


async def test_a_queued_task_is_cancelled_at_once_and_only_once(api: Api) -> None:
    async with api.by("client") as http:
        task = await requested(http)
        first = await http.post(task["links"]["cancel"], json={"reason": "not needed"})
        assert (first.status_code, first.json()["status"]) == (202, "cancelled")
        assert len(first.json()["events"]) == 1
        again = await http.post(task["links"]["cancel"])
        assert (again.status_code, again.json()["status"], again.json()["events"]) == (200, "cancelled", [])
        asked_for = again.json()["cancel_requested"]
        assert (asked_for["by"], asked_for["reason"]) == ("client", "not needed")


async def test_running_work_is_asked_to_stop(api: Api) -> None:
    async with api.operator as http:
        task = await requested(http)
        await api.claim(task["id"])
        for _ in range(2):
            answer = await http.post(task["links"]["cancel"])
            assert (answer.status_code, answer.json()["status"]) == (202, "in_progress")
            assert answer.json()["cancel_requested"]["by"] == "operator"


async def test_an_ended_task_cannot_be_cancelled(api: Api) -> None:
    async with api.operator as http:
        task = await requested(http)
        await complete(api, task["id"])
        assert_problem(await http.post(task["links"]["cancel"]), 409, "conflict")


async def test_a_failed_task_is_done_again_by_a_new_one_once(api: Api) -> None:
    async with api.by("client") as http:
        task = await requested(http, payload=7)
        assert_problem(await http.post(task["links"]["retry"]), 409, "conflict")
        await fail(api, task["id"])
        answer = await http.post(task["links"]["retry"])
        new = answer.json()
        assert (answer.status_code, answer.headers["location"]) == (202, f"/v1/tasks/{new['id']}")
        assert (new["retry_of"], new["request"]) == (task["id"], {"payload": 7})
        assert (new["status"], new["by"]) == ("queued", "client")
        assert api.rung[-1] == {"default": [UUID(new["id"])]}
        old = (await http.get(task["links"]["self"])).json()
        assert (old["retried_as"], old["status"]) == (new["id"], "failed")
        refused = await http.post(task["links"]["retry"])
        assert_problem(refused, 409, "conflict")
        assert new["id"] in refused.json()["detail"]


async def test_of_many_who_retry_at_once_one_makes_the_task(api: Api) -> None:
    async with api.operator as http:
        task = await requested(http)
        await fail(api, task["id"])
        answers = await asyncio.gather(*(http.post(task["links"]["retry"]) for _ in range(10)))
        assert sorted(answer.status_code for answer in answers) == [202] + [409] * 9
        made = await api.sql("SELECT count(*) FROM postcommit.tasks WHERE retry_of = $1", UUID(task["id"]))
        assert made == 1


async def test_who_saw_an_older_task_changes_nothing(api: Api) -> None:
    async with api.operator as http:
        task = await requested(http)
        stale = (await http.get(task["links"]["self"])).headers["etag"]
        await api.claim(task["id"])
        before = await api.stored()
        assert_problem(await http.post(task["links"]["cancel"], headers={"If-Match": stale}), 412, "stale")
        assert await api.stored() == before
        fresh = (await http.get(task["links"]["self"])).headers["etag"]
        for weak in (f"W/{fresh}", "", " , "):
            assert_problem(await http.post(task["links"]["cancel"], headers={"If-Match": weak}), 412, "stale")
        assert await api.stored() == before
        assert (await http.post(task["links"]["cancel"], headers={"If-Match": fresh})).status_code == 202


def assert_problem(answer: Response, status: int, slug: str) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    told = answer.json()
    assert (told["type"], told["status"]) == (f"/problems/{slug}", status)
    assert told["request_id"] == answer.headers["x-request-id"]
    assert told["instance"] == answer.request.url.path
