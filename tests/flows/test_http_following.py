"""A task, followed live over server-sent events."""

import asyncio
import json
from typing import Any
from uuid import UUID

from adapters.http.following import frames
from domain.outcome import Done, Progress
from tests.flows.conftest import Api
from tests.flows.test_http_needs import done, finish, requested, seen


def parsed(frame: bytes) -> dict[str, Any]:
    lines = [line.partition(": ") for line in frame.decode().splitlines() if line]
    return {name: value for name, _, value in lines}


async def followed(api: Api, id: str, after: int = 0) -> tuple[int, list[dict[str, Any]]]:
    headers = {"Last-Event-ID": str(after)} if after else {}
    async with api.by("client") as client:
        answer = await client.get(f"/v1/tasks/{id}/stream", headers=headers)
    return answer.status_code, [parsed(part.encode()) for part in answer.text.split("\n\n") if "data:" in part]


async def test_an_ended_task_is_told_whole_and_then_no_more(api: Api) -> None:
    id = await requested(api)
    await done(api, id)
    await api.number()
    status, told = await followed(api, id)
    assert status == 200 and [one["event"] for one in told] == ["task", "fact", "fact", "fact"]
    names = [json.loads(one["data"])["name"] for one in told[1:]]
    assert names == ["task.queued", "task.started", "task.completed"]
    positions = [int(one["id"]) for one in told[1:]]
    assert positions == [json.loads(one["data"])["position"] for one in told[1:]] and "id" not in told[0]
    _, rest = await followed(api, id, positions[1])
    assert [json.loads(one["data"])["name"] for one in rest[1:]] == ["task.completed"]
    assert (await followed(api, id, positions[2]))[0] == 204


async def test_a_running_task_is_followed_to_its_end_with_its_progress(api: Api) -> None:
    id = await requested(api)
    await api.claim(id)
    await api.number()
    found = await api.service.queries.task(UUID(id))
    assert found is not None
    live = frames(api.app.state.desk, found, 0, ping_s=5.0)
    told = [parsed(await anext(live)) for _ in range(3)]
    assert [one["event"] for one in told] == ["task", "fact", "fact"]
    coming = asyncio.ensure_future(anext(live))
    await api.tasks.extend([(UUID(id), 1, Progress(done=1.0, total=4.0))], 10.0)
    progress = parsed(await coming)
    assert (progress["event"], json.loads(progress["data"])["done"], "id" in progress) == ("progress", 1.0, False)
    coming = asyncio.ensure_future(anext(live))
    await finish(api, id, Done(result={}))
    await api.number()
    last = parsed(await coming)
    while last.get("event") != "fact":
        last = parsed(await anext(live))
    assert json.loads(last["data"])["name"] == "task.completed"
    assert [frame async for frame in live] == []


async def test_a_quiet_stream_pings_and_ends_with_the_service(api: Api) -> None:
    id = await requested(api)
    await api.number()
    found = await api.service.queries.task(UUID(id))
    assert found is not None
    live = frames(api.app.state.desk, found, 0, ping_s=0.05)
    assert [parsed(await anext(live))["event"] for _ in range(2)] == ["task", "fact"]
    assert await anext(live) == b": ping\n\n"
    api.app.state.desk.stop()
    assert [frame async for frame in live] in ([], [b": ping\n\n"])


async def test_a_foreign_task_cannot_be_followed(api: Api) -> None:
    id = await requested(api, by="other")
    assert (await followed(api, id))[0] == 404
    assert (await seen(api, id))["links"]["stream"] == f"/v1/tasks/{id}/stream"
