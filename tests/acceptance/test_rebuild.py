"""Can a reader be folded anew while the service works, by the command that an operator types?"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from domain.log import Meta
from tests.acceptance.running import ROOT, Running, probes
from tests.lives import lived, store_unnumbered
from tests.waiting import until_told

DAMAGE = """
UPDATE postcommit.analytics SET value = value + 7
WHERE (per, begins_at, figure, label) = ('day', '2026-03-02T00:00Z', 'accepted', 'probe') RETURNING value
"""
LONG = [pytest.mark.long, pytest.mark.timeout(1_200)]
SIZES = [pytest.param(6_000, id="short"), pytest.param(200_000, id="long", marks=LONG)]
REACHED = """
SELECT position = (SELECT max(position) FROM postcommit.ledger) AND NOT EXISTS (SELECT FROM postcommit.outbox)
FROM postcommit.cursors WHERE name = $1
"""


@pytest.mark.parametrize("size", SIZES)
async def test_analytics_are_rebuilt_while_the_load_goes_on(service: Running, size: int) -> None:
    await grown(service, size)
    async with service.client() as http, loaded(http) as sent:
        first = await command(service, "rebuild", "analytics", "--json")
        assert first == (0, {"reader": "analytics", "differences": 0, "named": [], "mended": False})

        right = await service.sql(DAMAGE) - 7
        code, told = await command(service, "rebuild", "analytics", "--dry-run", "--json")
        assert (code, told["mended"], [one["live"] for one in told["named"]]) == (1, False, [{"value": right + 7}])
        code, told = await command(service, "rebuild", "analytics", "--json")
        [named] = told["named"]
        assert (code, told["differences"], told["mended"]) == (1, 1, True)
        assert (named["live"], named["rebuilt"]) == ({"value": right + 7}, {"value": right})
        assert named["key"]["begins_at"] == "2026-03-02T00:00:00+00:00" and named["key"]["label"] == "probe"

        await killed_in_the_middle(service)
        for name in ("analytics", "audit", "balance", "files", "made", "search"):
            assert (await command(service, "rebuild", name, "--json"))[1]["differences"] == 0, name
        assert len(sent) > 0, "the load went on"
    await until_told(lambda: reached(service, "analytics"), 60)
    counted = (await totals(service))["tasks"]["probe"]
    assert counted["accepted"] == counted["complete"] >= len(sent)
    assert (await command(service, "rebuild", "analytics", "--dry-run", "--json"))[0] == 0


async def test_the_readers_are_listed(service: Running) -> None:
    await until_told(lambda: reached(service, "analytics"), 60)
    _, told = await command(service, "list", "--json")
    readers = {one["name"]: one for one in told["items"]}
    assert set(readers) == {"analytics", "audit", "balance", "files", "made", "release", "search"}
    assert readers["balance"]["rows"] == 4 and readers["release"]["rows"] is None
    assert readers["audit"]["rows"] == readers["audit"]["position"] > 0
    shown = await asyncio.to_thread(ran, service, "list")
    assert (shown.returncode, len(shown.stdout.splitlines())) == (0, 1 + len(readers))


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("release", 78, "The reader release is no fold of the log: it writes facts, and those stand for ever.\n"),
        ("sales", 3, "There is no reader 'sales'; there are audit, balance, analytics, files, made, search.\n"),
    ],
)
def test_what_cannot_be_rebuilt_is_refused(service: Running, name: str, code: int, says: str) -> None:
    told = ran(service, "rebuild", name)
    assert (told.returncode, told.stdout, told.stderr) == (code, "", says)


async def killed_in_the_middle(service: Running) -> None:
    """Kill -9 of a rebuild that has begun; the next one goes on where it was."""
    process = begun(service)
    marked = "SELECT position > 0 FROM postcommit.cursors_rebuild WHERE name = 'analytics'"
    await until_told(lambda: service.sql(marked), 60)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert await service.sql(marked), "it was killed in the middle"
    told = await asyncio.to_thread(ran, service, "rebuild", "analytics")
    assert (told.returncode, told.stdout) == (0, "")
    went_on, result = told.stderr.splitlines()
    assert went_on.startswith("An earlier rebuild ended at position ") and went_on.endswith(": this one goes on there.")
    assert "0 rows differed from the fold of the log." in result


async def grown(service: Running, size: int) -> None:
    """Give the log a past of this many facts, all of which the reader has applied."""
    facts = await asyncio.to_thread(lived, size, meta=Meta(actor="client"))
    await store_unnumbered(service.told["postgres_owner"], facts)
    await until_told(lambda: reached(service, "analytics"), 900)


async def reached(service: Running, reader: str) -> Any:
    return await service.sql(REACHED, reader)


@asynccontextmanager
async def loaded(http: httpx.AsyncClient) -> AsyncIterator[list[str]]:
    """Tasks are asked for as long as the block runs; gives their ids."""
    sent: list[str] = []

    async def send() -> None:
        while True:
            sent.extend(await probes(http, [{}] * 10))
            await asyncio.sleep(0.1)

    sending = asyncio.create_task(send())
    try:
        yield sent
        assert not sending.done(), "the load broke off"
    finally:
        sending.cancel()
        await asyncio.wait([sending])


async def totals(service: Running) -> Any:
    """Of today, once the tasks of today have ended."""
    async with service.client("auditor") as http:

        async def told() -> Any:
            found = (await http.get("/v1/analytics?per=hour")).raise_for_status().json()["totals"]
            return found if found["tasks"]["probe"]["accepted"] == found["tasks"]["probe"]["complete"] else None

        return await until_told(told, 60)


async def command(service: Running, *arguments: str) -> tuple[int, Any]:
    """Exit code and document; the position is compared with nothing."""
    told = await asyncio.to_thread(ran, service, *arguments)
    assert told.stdout, told.stderr
    document = json.loads(told.stdout)
    document.pop("position", None)
    return told.returncode, document


def begun(service: Running) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(typed(service, "rebuild", "analytics"), cwd=ROOT, stderr=subprocess.DEVNULL)


def ran(service: Running, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(typed(service, *arguments), cwd=ROOT, capture_output=True, text=True, timeout=600)


def typed(service: Running, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "infra.cli", "readers", *arguments, "--home", str(service.home)]
