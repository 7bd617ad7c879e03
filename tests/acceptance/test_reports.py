"""Does a report tell of every order, once, whoever dies while it is made? And is it the same, asked for again?"""

import asyncio
import os
import re
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from pypdf import PdfReader

from tests.acceptance.running import Running, ended, up
from tests.waiting import until_told

ORDERS = 1_150  # more than one section


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with up(tmp_path_factory.mktemp("service")) as running:
        yield running


async def test_a_report_tells_of_every_order_though_its_worker_is_killed(service: Running, tmp_path: Path) -> None:
    async with service.client("client", 60) as client:
        begin = datetime.now(UTC) - timedelta(seconds=1)
        orders = await ordered(client, ORDERS)
        await until_told(lambda: _numbered(service), 30)
        await asyncio.sleep(1.1)
        period = {"begin": begin.isoformat(), "end": datetime.now(UTC).isoformat()}
        created = await _asked(client, period)
        killed = asyncio.create_task(_kill_in_the_midst(service, client, created))
        shown = await _complete(client, created)
        await killed
        assert (shown["orders"], shown["progress"], shown["status"]) == (ORDERS, 1.0, "complete")
        whole = (await client.get(shown["links"]["content"])).raise_for_status()
        assert whole.headers["content-type"] == "application/pdf"
        assert whole.headers["content-disposition"].startswith('attachment; filename="orders-')
        pdf = PdfReader(BytesIO(whole.content))
        assert len(pdf.pages) == shown["pages"]
        text = "\n".join(page.extract_text() for page in pdf.pages)
        told = re.findall(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", text)
        assert sorted(told) == sorted(orders), "every order, once"
        assert f"Orders {ORDERS:,}" in text and "Confirmed 10" in text

        again = await _complete(client, await _asked(client, period))
        assert again["id"] != shown["id"]
        assert (await client.get(again["links"]["content"])).content == whole.content, "the same bytes"
    await service.sound()


async def test_a_report_waits_for_an_order_that_has_no_number_yet(service: Running) -> None:
    async with service.client("client", 60) as client:
        begin = datetime.now(UTC)
        with service.frozen(service.pids("relay")[0]):
            await ordered(client, 2)
            created = await _asked(client, {"begin": begin.isoformat(), "end": datetime.now(UTC).isoformat()})
            await asyncio.sleep(2.5)
            assert (await client.get(created["links"]["self"])).json()["orders"] is None
        assert (await _complete(client, created))["orders"] == 2


async def test_a_client_reads_of_its_own_orders_and_an_operator_of_all(service: Running) -> None:
    now = datetime.now(UTC)
    async with service.client("client") as client, service.client("operator") as operator:
        mine = await ordered(client, 3)
        await ordered(operator, 2)
        await asyncio.sleep(0.1)
        period = {"begin": now.isoformat(), "end": datetime.now(UTC).isoformat()}
        await until_told(lambda: _numbered(service), 30)
        small = await _complete(client, await _asked(client, period))
        large = await _complete(operator, await _asked(operator, period))
        assert (small["orders"], large["orders"]) == (len(mine), 5)
        assert (await client.get(f"/v1/reports/{large['id']}")).status_code == 404
        assert (await client.get("/v1/reports")).json()["items"][0]["id"] == small["id"]
        answer = await operator.delete(f"/v1/reports/{large['id']}")
        assert [one["status"] for one in await ended(operator, answer.json()["tasks"])] == ["complete"]
        assert (await operator.get(large["links"]["content"])).status_code == 410


@pytest.mark.parametrize(
    ("begin", "end", "words"),
    [
        ("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", "after the begin"),
        ("2024-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "366 days at most"),
        ("2026-01-01T00:00:00Z", "2126-01-01T00:00:00Z", "366 days at most"),
        ("2026-01-01T00:00:00", "2026-01-02T00:00:00Z", "with an offset"),
        ("yesterday", "2026-01-02T00:00:00Z", "begin"),
    ],
)
async def test_a_period_that_cannot_be_meant_is_refused(service: Running, begin: str, end: str, words: str) -> None:
    async with service.client("client") as client:
        answer = await client.post("/v1/reports", json={"begin": begin, "end": end})
        assert answer.status_code == 422 and words in answer.text, answer.text


async def test_nothing_is_told_of_a_period_without_orders(service: Running) -> None:
    async with service.client("client") as client:
        period = {"begin": "2020-01-01T00:00:00Z", "end": "2020-02-01T00:00:00Z"}
        shown = await _complete(client, await _asked(client, period))
        assert (shown["orders"], shown["pages"]) == (0, 1)


async def ordered(client: httpx.AsyncClient, count: int) -> list[str]:
    account = {"email": f"ada{os.urandom(4).hex()}@example.org", "name": "Ada"}
    ada = (await client.post("/v1/accounts", json=account)).raise_for_status().json()["id"]
    details = {"name": "#Lamp $x$ *y*", "price_cents": 1_250, "currency": "EUR"}
    lamp = (await client.post("/v1/items", json=details)).raise_for_status().json()["id"]
    wanted = {"account": ada, "lines": [{"item": lamp, "quantity": 1}]}
    made: list[str] = []
    for first in range(0, count, 50):
        asking = [client.post("/v1/orders", json=wanted) for _ in range(first, min(first + 50, count))]
        made += [answer.raise_for_status().json()["id"] for answer in await asyncio.gather(*asking)]
    for id in made[:10]:
        (await client.post(f"/v1/orders/{id}/confirm")).raise_for_status()
    return made


async def _asked(client: httpx.AsyncClient, period: dict[str, str]) -> dict[str, Any]:
    answer = await client.post("/v1/reports", json=period)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def _complete(client: httpx.AsyncClient, created: dict[str, Any]) -> dict[str, Any]:
    async def over() -> Any:
        shown = (await client.get(created["links"]["self"])).json()
        return shown if shown["status"] in ("complete", "failed", "cancelled") else None

    shown: dict[str, Any] = await until_told(over, 120)
    assert shown["status"] == "complete", shown
    return shown


async def _kill_in_the_midst(service: Running, client: httpx.AsyncClient, created: dict[str, Any]) -> None:
    async def begun() -> bool:
        return bool((await client.get(created["links"]["self"])).json()["progress"] > 0)

    await until_told(begun, 60)
    os.kill(service.pids("worker")[0], signal.SIGKILL)


async def _numbered(service: Running) -> bool:
    return bool(await service.sql("SELECT count(*) FROM postcommit.outbox") == 0)
