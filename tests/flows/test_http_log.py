"""What is told of the log, and of what readers make of it?"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from uuid import UUID

import pytest

from adapters.http import caught_up
from adapters.http.desk import desk_for
from adapters.http.events import frames
from domain.log import Conflict, Entry, Overloaded
from tests.flows.conftest import Api, running
from tests.flows.test_http_tasks import PROBE, assert_problem, complete, fail, requested
from tests.waiting import until


async def test_the_log_is_walked_position_by_position(api: Api) -> None:
    async with api.by("auditor") as http, api.by("client", **{"X-Correlation-ID": "order-7"}) as client:
        account = (await client.post("/v1/accounts", json={"email": "eve@example.com", "name": "Eve"})).json()
        await api.number()
        head = (await http.get("/v1/events?limit=1")).json()["head"]
        told = (await http.get(f"/v1/events?after={head - 2}")).json()
        assert [item["id"] for item in told["items"]] == account["events"]
        assert (told["head"], told["next"]) == (head, None)
        assert UUID(told["epoch"])
        registered, queued = told["items"]
        assert (registered["position"], registered["version"]) == (head - 1, 1)
        assert (registered["name"], queued["name"]) == ("account.registered", "task.queued")
        assert registered["personal"] == {"email": "eve@example.com", "name": "Eve"}
        assert registered["stream"] == f"account-{account['id']}"
        assert (registered["meta"]["actor"], registered["meta"]["correlation_id"]) == ("client", "order-7")
        assert queued["meta"]["causation_id"] == registered["id"]

        first = await http.get(f"/v1/events?after={head - 2}&limit=1")
        assert first.json()["next"] == head - 1
        second = await http.get(first.links["next"]["url"])
        assert [item["position"] for item in second.json()["items"]] == [head]


async def test_a_stream_goes_on_where_it_was_left_and_then_lives(api: Api) -> None:
    async with api.operator as http:
        for _ in range(3):
            await requested(http)
        await api.number()
        told = (await http.get("/v1/events?limit=1")).json()
        head = told["head"]
        async with aclosing(frames(api.app.state.desk, UUID(told["epoch"]), head - 3)) as live:
            first = await anext(live)
            assert f": epoch {told['epoch']}\n".encode() in first and first.endswith(b"id: %d\n\n" % (head - 3))
            assert positions(await anext(live)) == [head - 2, head - 1, head]
            coming = asyncio.ensure_future(anext(live))
            await requested(http)
            await api.number()
            assert positions(await asyncio.wait_for(coming, 2)) == [head + 1]


async def test_a_silent_stream_pings_and_ends_when_the_service_stops(api: Api) -> None:
    desk = desk_for(api.service)
    head = (await api.service.queries.cursors([]))["ledger"]
    epoch = await api.service.queries.epoch()
    async with aclosing(frames(desk, epoch, head, ping_s=0.05)) as live:
        await anext(live)
        assert await anext(live) == b": ping\n\n"
    async with aclosing(frames(desk, epoch, head)) as live:
        await anext(live)
        last = asyncio.ensure_future(anext(live, b"over"))
        await asyncio.sleep(0)
        desk.stop()
        assert await asyncio.wait_for(last, 1) in (b": ping\n\n", b"over")
        assert [frame async for frame in live] == []
    api.service.stopping.clear()


async def test_many_streams_share_one_look_at_the_head(api: Api) -> None:
    desk, asked = desk_for(api.service), 0
    look = api.service.queries.cursors

    async def counted(names: Sequence[str]) -> Mapping[str, int]:
        nonlocal asked
        asked += 1
        return await look(names)

    desk.cursors._look = counted
    head, epoch = (await look([]))["ledger"], await api.service.queries.epoch()

    async def two_pings() -> None:
        async with aclosing(frames(desk, epoch, head, ping_s=0.3)) as live:
            for _ in range(3):
                await anext(live)

    await asyncio.gather(*(two_pings() for _ in range(50)))
    assert asked < 20


async def test_a_log_that_has_changed_cannot_be_followed_as_if_it_had_not(api: Api) -> None:
    async with api.operator as http:
        await requested(http)
        await api.number()
        told = (await http.get("/v1/events?limit=1")).json()
        known, beyond = {"epoch": told["epoch"], "head": told["head"]}, told["head"] + 1
        for query, headers in [
            ("", {"Last-Event-ID": str(beyond)}),
            (f"?after={beyond}", {}),
            (f"?after=0&epoch={UUID(int=7)}", {}),
        ]:
            answer = await http.get("/v1/events/stream" + query, headers=headers)
            assert_problem(answer, 409, "log-changed")
            assert {name: answer.json()[name] for name in known} == known
        assert (await http.get(f"/v1/events?after={beyond}")).json() == {"items": [], "next": None, **known}


async def test_a_stream_ends_where_the_epoch_does(api: Api) -> None:
    desk = api.app.state.desk
    async with api.operator as http:
        told = (await http.get("/v1/events?limit=1")).json()
        async with aclosing(frames(desk, UUID(told["epoch"]), told["head"], ping_s=0.05)) as live:
            assert [await anext(live) for _ in range(2)][1] == b": ping\n\n"
            await requested(http)
            await api.sql("INSERT INTO postcommit.epochs (id, position, reason) VALUES (uuidv7(), 0, 'a test')")
            await api.number()
            assert [frame for frame in [frame async for frame in live] if positions(frame)] == []


@pytest.mark.parametrize("position", ["x", "-1", "1.5", "9" * 30, "²"])
async def test_a_position_that_is_none_cannot_be_resumed(api: Api, position: str) -> None:
    async with api.operator as http:
        answer = await http.get("/v1/events/stream", headers={b"Last-Event-ID": position.encode("latin-1")})
        assert_problem(answer, 422, "invalid")


async def test_the_audit_can_be_read_as_soon_as_it_knows(api: Api) -> None:
    async with api.by("auditor") as http, api.by("client", **{"X-Request-ID": "req-9"}) as client:
        task = await requested(client)
        waiting = asyncio.create_task(http.get(f"/v1/audit?after_event={task['events'][0]}&subject={task['stream']}"))
        await until(lambda: UUID(task["events"][0]) in api.app.state.desk.positions._waiters)
        assert not waiting.done()
        await api.number()
        await api.fold("audit")
        told = (await waiting).json()
        [line] = told["items"]
        assert (line["actor"], line["action"], line["request_id"]) == ("client", "task.queued", "req-9")
        assert line["address"] == "127.0.0.1"
        assert told["position"] >= line["position"]
        assert (await http.get("/v1/audit?actor=nobody")).json()["items"] == []
        page = await http.get(f"/v1/audit?actor=client&limit=1&after_position={line['position']}")
        assert len(page.json()["items"]) == 1


async def test_who_asks_for_what_is_not_applied_is_told_so(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caught_up, "LONGEST_S", 0.2)
    async with api.by("auditor") as http, api.by("client") as client:
        await requested(client)
        await api.number()
        head = (await http.get("/v1/events?limit=1")).json()["head"]
        answer = await http.get(f"/v1/audit?after_position={head}")
        assert_problem(answer, 503, "not-yet")
        assert answer.headers["retry-after"] == "1"


async def test_nobody_waits_for_a_position_that_the_log_has_not_reached(api: Api) -> None:
    async with api.by("auditor") as http:
        known = {name: (await http.get("/v1/events?limit=1")).json()[name] for name in ("epoch", "head")}
        answer = await http.get(f"/v1/audit?after_position={known['head'] + 1}")
        assert_problem(answer, 409, "log-changed")
        assert {name: answer.json()[name] for name in known} == known


async def test_the_balance_is_even_at_every_moment(api: Api) -> None:
    async def even(**expected: int) -> None:
        told = (await http.get("/v1/balance")).json()
        assert told["difference"] == 0
        assert told["accepted"] == told["complete"] + told["failed"] + told["cancelled"] + told["open"]
        assert {name: told[name] - before[name] for name in expected} == expected

    async with api.operator as http:
        before = (await http.get("/v1/balance")).json()
        tasks = [await requested(http) for _ in range(4)]
        await even(accepted=4, open=4)
        await api.number()
        await complete(api, tasks[0]["id"])
        await even(accepted=4, complete=1, open=3)
        await api.number()
        await api.fold("balance")
        await fail(api, tasks[1]["id"])
        await http.post(tasks[2]["links"]["cancel"])
        await even(accepted=4, complete=1, failed=1, cancelled=1, open=1)
        await api.number()
        await even(accepted=4, complete=1, failed=1, cancelled=1, open=1)
        await api.fold("balance")
        await even(accepted=4, complete=1, failed=1, cancelled=1, open=1)


async def test_too_much_to_take_in_is_told_before_anything_is_written(dsn: Callable[[str], str]) -> None:
    for error, status, slug in ((Overloaded("Full."), 503, "overloaded"), (Conflict("Again."), 409, "conflict")):

        class Refusing:
            async def append(self, entry: Entry) -> None:
                raise error  # noqa: B023  used before the next turn

        async with running(dsn("postcommit")) as api, api.operator as http:
            object.__setattr__(api.service, "log", Refusing())
            answer = await http.post("/v1/tasks", json=PROBE)
            assert_problem(answer, status, slug)
            assert (answer.headers.get("retry-after") == "1") == (status == 503)


def positions(frame: bytes) -> list[int]:
    return [int(line[3:]) for line in frame.split(b"\n") if line.startswith(b"id:")]
