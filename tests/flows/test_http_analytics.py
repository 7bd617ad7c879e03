"""What is told of sign-ups, orders, revenue and tasks?"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain import compose, order
from domain.log import Entry
from infra.clock import Clock
from infra.stories import Stories
from tests.flows.conftest import Api
from tests.flows.test_http_tasks import assert_problem, complete, requested
from tests.making import META
from tests.waiting import settled


async def test_the_analytics_are_what_was_done(api: Api) -> None:
    began = datetime.now(UTC)
    async with api.operator as http:
        account = (await http.post("/v1/accounts", json={"email": "eve@example.com", "name": "Eve"})).json()
        item = (await http.post("/v1/items", json={"name": "Cup", "price_cents": 250, "currency": "EUR"})).json()
        lines = [{"item": item["id"], "quantity": 3}]
        sold = (await http.post("/v1/orders", json={"account": account["id"], "lines": lines})).json()
        assert (await http.post(f"/v1/orders/{sold['id']}/confirm")).status_code in (200, 202)
        await Stories(api.service.log, Clock()).record(UUID(sold["id"]), META)
        await complete(api, (await requested(http))["id"])
        await api.number()
        await api.fold("analytics")
        told = (await http.get("/v1/analytics")).json()
        head = (await http.get("/v1/events?limit=1")).json()["head"]

        assert (told["per"], told["position"], len(told["buckets"])) == ("hour", head, 25)
        totals = told["totals"]
        assert {name: totals[name] for name in ("signups", "orders", "orders_recorded", "revenue")} == {
            "signups": 1,
            "orders": 1,
            "orders_recorded": 1,
            "revenue": {"EUR": 750},
        }
        run_s = totals["tasks"]["probe"].pop("run_s")
        assert totals["tasks"]["probe"] == COUNTS | {"accepted": 1, "complete": 1}
        assert run_s["count"] == 1 and 0 < run_s["p50"] == run_s["p99"] == run_s["max"] < 60
        assert totals["tasks"]["email_welcome"] == COUNTS | {"accepted": 1, "run_s": None}
        assert [at(one["from"]) for one in told["buckets"]] == hours(at(told["since"]), at(told["until"]))
        assert at(told["until"]) - timedelta(hours=2) < began <= at(told["until"])
        assert sum(one["signups"] for one in told["buckets"]) == 1

        days = (await http.get("/v1/analytics?per=day&kind=probe")).json()
        assert (len(days["buckets"]), days["totals"]["revenue"]) == (31, {"EUR": 750})
        assert set(days["totals"]["tasks"]) == {"probe"}

        long_ago = (await http.get("/v1/analytics?since=2020-01-01T01:30:00%2B02:00&until=2020-01-01T00:00:00Z")).json()
        assert (long_ago["since"], long_ago["until"]) == ("2019-12-31T23:00:00Z", "2020-01-01T00:00:00Z")
        assert long_ago["buckets"] == [{"from": "2019-12-31T23:00:00Z", **NOTHING}] and long_ago["totals"] == NOTHING


async def test_it_waits_until_the_reader_has_applied_what_is_asked_for(api: Api) -> None:
    async with api.operator as http:
        before = (await http.get("/v1/analytics")).json()["totals"]["signups"]
        account = (await http.post("/v1/accounts", json={"email": "eve@example.com", "name": "Eve"})).json()
        asked = asyncio.ensure_future(http.get(f"/v1/analytics?after_event={account['events'][0]}"))
        await api.number()
        await settled()
        assert not asked.done()
        await api.fold("analytics")
        assert (await asked).json()["totals"]["signups"] == before + 1


async def test_only_who_reads_the_log_sees_them(api: Api) -> None:
    async with api.by("auditor") as auditor, api.by("client") as client, api.by(None) as nobody:
        assert (await auditor.get("/v1/analytics")).status_code == 200
        assert (await auditor.head("/v1/analytics")).status_code == 200
        assert_problem(await client.get("/v1/analytics"), 403, "forbidden")
        assert_problem(await nobody.get("/v1/analytics"), 401, "unauthorized")


LONG = "until=2030-01-01T00:00:00Z&since="


@pytest.mark.parametrize(
    ("query", "parameter", "says"),
    [
        ("per=minute", "per", "Expected `hour` or `day`"),
        ("since=yesterday", "since", "Expected a time as in RFC 3339"),
        ("until=2030-01-01T00:00:00", "until", "with an offset"),
        ("since=2030-01-01T00:00:00Z&until=2030-01-01T00:00:00Z", "until", "Expected a time after `since`"),
        (LONG + "2029-11-20T07:59:59Z", "until", "Expected at most 1,000 buckets"),
        ("per=day&" + LONG + "2027-04-06T23:59:59Z", "until", "Expected at most 1,000 buckets"),
        ("since=9999-12-31T22:30:00Z&until=9999-12-31T23:30:00Z", "until", "the year 9999"),
        ("until=9999-12-31T23:30:00-02:00", "until", "This time does not exist in UTC"),
        ("kind=a.b", "kind", "Expected a kind"),
        ("kind=probe%0A", "kind", "Expected a kind"),
        ("kind=", "kind", "Expected a kind"),
        ("after_event=7", "after_event", "Expected a UUID"),
        ("after_position=-1", "after_position", "Expected a position"),
    ],
)
async def test_what_cannot_be_told_is_refused_with_the_reason(api: Api, query: str, parameter: str, says: str) -> None:
    async with api.operator as http:
        answer = await http.get(f"/v1/analytics?{query}")
    assert_problem(answer, 422, "invalid")
    [error] = answer.json()["errors"]
    assert error["parameter"] == parameter and says in error["detail"]


async def test_at_the_beginning_of_time_nothing_had_happened(api: Api) -> None:
    async with api.operator as http:
        told = (await http.get("/v1/analytics?until=0001-01-01T00:30:00Z")).json()
    assert (told["since"], len(told["buckets"]), told["totals"]) == ("0001-01-01T00:00:00Z", 1, NOTHING)


async def test_a_kind_that_is_unknown_has_no_figures(api: Api) -> None:
    async with api.operator as http:
        assert (await http.get("/v1/analytics?kind=no_such_kind")).json()["totals"]["tasks"] == {}


async def test_no_sum_is_too_large(api: Api) -> None:
    clock = Clock()
    sale = order.Recorded(total_cents=10**15, currency="XXX")
    async with api.operator as http:
        for _ in range(3):
            facts = compose.of_thing(clock.new_id(), 0, [sale] * 4_000, META, clock.now(), clock.new_id)
            await api.service.log.append(Entry(facts))
        await api.number()
        await api.fold("analytics")
        assert (await http.get("/v1/analytics")).json()["totals"]["revenue"]["XXX"] == 12_000 * 10**15


COUNTS = dict.fromkeys(("accepted", "complete", "failed", "cancelled", "stumbled", "rescued"), 0)
NOTHING: dict[str, Any] = {"signups": 0, "orders": 0, "orders_recorded": 0, "revenue": {}, "tasks": {}}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def hours(since: datetime, until: datetime) -> list[datetime]:
    return [since + timedelta(hours=n) for n in range(int((until - since) / timedelta(hours=1)))]
