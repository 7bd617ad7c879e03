"""Tasks that need others: requested, refused, released, cancelled with what they need, and retried together."""

from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest

from adapters.postgres import release
from domain import outcome, task
from domain.log import Recorded
from domain.release import Rows, release_waiting
from infra.clock import Clock
from tests import making
from tests.flows.conftest import Api

PROBE: dict[str, Any] = {"kind": "probe", "request": {}}


async def requested(api: Api, *needs: str, by: str = "client", **more: Any) -> str:
    async with api.by(by) as client:
        answer = await client.post("/v1/tasks", json=PROBE | {"needs": list(needs)} | more)
    assert answer.status_code == 202, answer.text
    id: str = answer.json()["id"]
    return id


async def batch(api: Api, needs: Sequence[Sequence[str]]) -> Any:
    async with api.by("client") as client:
        return await client.post("/v1/tasks/batch", json=[PROBE | {"needs": list(one)} for one in needs])


async def seen(api: Api, id: str) -> dict[str, Any]:
    async with api.operator as client:
        found: dict[str, Any] = (await client.get(f"/v1/tasks/{id}")).json()
    return found


async def released(api: Api) -> dict[str, list[UUID]]:
    """Do the release reader's part, to the end of the log; answers with what it queued."""
    clock, queued = Clock(), dict[str, list[UUID]]()

    async def freeing(rows: Rows, recorded: Sequence[Recorded]) -> None:
        freed = await release_waiting(rows, recorded, clock.now(), clock.new_id)
        for queue, ids in freed.items():
            queued.setdefault(queue, []).extend(ids)

    await api.number()
    while await release.step(api.database, freeing):
        await api.number()
    return queued


async def end(api: Api, id: str, how: outcome.Outcome) -> None:
    """Do a worker's part from the beginning to the end."""
    await api.claim(id)
    await finish(api, id, how)


async def finish(api: Api, id: str, how: outcome.Outcome) -> None:
    """Do a worker's part at the end."""
    state = (await api.tasks.get([UUID(id)]))[UUID(id)]
    events = task.finish(state, making.KIND, state.turn, how, making.NOON, 0.5)
    assert await api.tasks.settle([making.change(UUID(id), state, events)], "worker/w1") == {UUID(id)}


done = partial(end, how=outcome.Done(result={"payload": None, "attempt": 1}))
failed = partial(end, how=outcome.Refused(error=outcome.Error(type="e", detail="d")))


async def test_a_task_waits_until_all_that_it_needs_is_complete(api: Api) -> None:
    one, two = await requested(api), await requested(api)
    third = await requested(api, one, two, one)
    assert (await seen(api, third))["needs"] == [one, two]
    await done(api, one)
    await released(api)
    assert (await seen(api, third))["status"] == "waiting"
    await done(api, two)
    assert await released(api) == {"default": [UUID(third)]}
    assert (await seen(api, third))["status"] == "queued"


async def test_whichever_fact_comes_later_releases(api: Api) -> None:
    one = await requested(api)
    await done(api, one)
    await released(api)
    later = await requested(api, one)
    assert (await seen(api, later))["status"] == "waiting"
    assert await released(api) == {"default": [UUID(later)]}


async def test_a_released_task_that_is_due_later_is_scheduled(api: Api) -> None:
    one = await requested(api)
    later = await requested(api, one, due_at="2099-01-01T00:00:00Z")
    await done(api, one)
    assert await released(api) == {}
    found = await seen(api, later)
    assert (found["status"], found["due_at"]) == ("scheduled", "2099-01-01T00:00:00Z")


async def test_what_needs_a_failed_task_is_cancelled_down_the_chain_and_names_its_cause(api: Api) -> None:
    answer = await batch(api, [[], ["/0"], ["/1"], ["/2", "/0"]])
    first, second, third, fourth = answer.json()["tasks"]
    await failed(api, first)
    await released(api)
    found = [await seen(api, id) for id in (second, third, fourth)]
    assert [one["status"] for one in found] == ["cancelled"] * 3
    assert [one["cancel_requested"]["cause"] for one in found[:2]] == [first, second]
    assert found[2]["cancel_requested"]["cause"] in (first, third)
    assert found[0]["cancel_requested"]["by"] == "system" and first in found[0]["cancel_requested"]["reason"]


async def test_a_retry_requests_the_rest_of_the_chain_anew(api: Api) -> None:
    first, second, third = (await batch(api, [[], ["/0"], ["/1"]])).json()["tasks"]
    await failed(api, first)
    await released(api)
    async with api.by("client") as client:
        answer = await client.post(f"/v1/tasks/{first}/retry")
        assert answer.status_code == 202, answer.text
        again = answer.json()["tasks"]
        assert (await client.post(f"/v1/tasks/{first}/retry")).status_code == 409
        assert (await client.post(f"/v1/tasks/{second}/retry")).status_code == 409
    assert [(await seen(api, id))["retry_of"] for id in again] == [first, second, third]
    assert [(await seen(api, id))["retried_as"] for id in (first, second, third)] == again
    for id in again:
        await done(api, id)
        await released(api)
    assert [(await seen(api, id))["status"] for id in again] == ["complete"] * 3


async def test_a_retry_before_the_release_has_looked_takes_what_still_waits_along(api: Api) -> None:
    first, second = (await batch(api, [[], ["/0"]])).json()["tasks"]
    await failed(api, first)
    async with api.by("client") as client:
        again = (await client.post(f"/v1/tasks/{first}/retry")).json()["tasks"]
    await released(api)
    assert (await seen(api, second))["status"] == "cancelled" and (await seen(api, again[1]))["status"] == "waiting"
    await done(api, again[0])
    await released(api)
    assert (await seen(api, again[1]))["status"] == "queued"


async def test_a_member_alone_cannot_be_retried_while_its_need_has_failed(api: Api) -> None:
    first, second = (await batch(api, [[], ["/0"]])).json()["tasks"]
    await failed(api, first)
    await released(api)
    async with api.by("client") as client:
        answer = await client.post(f"/v1/tasks/{second}/retry")
    assert answer.status_code == 409 and first in answer.json()["detail"]
    assert answer.headers["location"] == f"/v1/tasks/{first}"


async def test_a_waiting_task_is_cancelled_at_once_and_takes_along_what_needs_it(api: Api) -> None:
    _, second, third = (await batch(api, [[], ["/0"], ["/1"]])).json()["tasks"]
    async with api.by("client") as client:
        assert (await client.post(f"/v1/tasks/{second}/cancel", json={"reason": "no"})).json()["status"] == "cancelled"
    await released(api)
    assert (await seen(api, third))["status"] == "cancelled"


@pytest.mark.parametrize(
    ("needs", "pointer", "words"),
    [
        ([["/1"], ["/0"]], "/0/needs", "wait for one another: /"),
        ([["/0"]], "/0/needs/0", "There is no task '/0'"),
        ([[], ["/1"]], "/1/needs", "wait for one another: /1 needs /1"),
        ([[], ["/2"], ["/3"], ["/1"]], "/1/needs", "wait for one another"),
        ([[], ["/7"]], "/1/needs/0", "There is no task"),
        ([[], ["/²"]], "/1/needs/0", "There is no task"),
        ([[], ["0"]], "/1/needs/0", "There is no task"),
        ([[str(uuid4())], []], "/0/needs/0", "There is no task"),
    ],
)
async def test_needs_that_cannot_be_met_are_refused_with_the_place(
    api: Api, needs: Any, pointer: str, words: str
) -> None:
    before = await api.stored()
    answer = await batch(api, needs)
    assert answer.status_code == 422, answer.text
    flaw = answer.json()["errors"][0]
    assert flaw["pointer"].startswith(pointer.rsplit("/", 1)[0] if "another" in words else pointer)
    assert words in flaw["detail"] and await api.stored() == before


async def test_a_task_of_somebody_else_cannot_be_needed(api: Api) -> None:
    foreign = await requested(api, by="other")
    async with api.by("client") as client:
        answer = await client.post("/v1/tasks", json=PROBE | {"needs": [foreign]})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/needs/0")


async def test_more_needs_than_a_hundred_are_refused(api: Api) -> None:
    one = await requested(api)
    async with api.by("client") as client:
        answer = await client.post("/v1/tasks", json=PROBE | {"needs": [one] * 101})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/needs")


async def test_a_thousand_that_wait_for_one_are_released_together(api: Api) -> None:
    one = await requested(api)
    answer = await batch(api, [[one]] * 1_000)
    await done(api, one)
    queued = await released(api)
    assert sorted(queued["default"]) == sorted(map(UUID, answer.json()["tasks"]))
    statuses = "SELECT count(*) FROM postcommit.tasks WHERE status = 'queued' AND needs = ARRAY[$1::uuid]"
    assert await api.sql(statuses, UUID(one)) == 1_000
