"""Is what was accepted still there after a power cut? A disk that takes nothing more, as root only, else skipped."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from infra.drill.descent import below
from infra.drill.disk import Absent, Disk, plugged
from tests.acceptance.running import balanced, ended, up
from tests.waiting import until

SIZE_BYTES = 6 * 1024**3  # of which the file takes what is used


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with ExitStack() as plugging:
        try:
            disk = plugging.enter_context(plugged(tmp_path, SIZE_BYTES))
        except Absent as error:
            pytest.skip(f"The power cut is not tried: {error}.")
        yield disk


async def test_what_was_accepted_outlives_a_power_cut(disk: Disk) -> None:
    accepted: list[str] = []
    with up(disk.path / "home") as service:
        async with service.client(timeout=2.0) as client, _load(client, accepted):
            await until(lambda: len(accepted) >= 200, 60)
            own = below(service.process.pid)
            disk.cut_the_power()
            service.process.kill()
            service.process.wait()
            await until(lambda: disk.killed(frozenset(own)), 30)
    await until(disk.unplugged, 30)
    disk.plug_in()
    with up(disk.path / "home") as service:
        async with service.client() as client:
            tasks = await ended(client, accepted)
            counted = await balanced(client)
        await service.sound()
    assert {task["status"] for task in tasks} == {"complete"}
    assert counted["accepted"] >= len(accepted)
    print(f"{len(accepted)} tasks had been accepted when the power was cut.")


@asynccontextmanager
async def _load(client: httpx.AsyncClient, accepted: list[str]) -> AsyncIterator[None]:
    """Eight clients that ask for probes; every id is noted as soon as its 202 has come."""

    async def ask() -> None:
        while True:
            try:
                key = {"Idempotency-Key": str(uuid4())}
                answer = await client.post("/v1/tasks", json={"kind": "probe", "request": {}}, headers=key)
            except httpx.HTTPError:
                await asyncio.sleep(0.05)
                continue
            if answer.status_code == 202:
                accepted.append(answer.json()["id"])

    asking = [asyncio.create_task(ask()) for _ in range(8)]
    try:
        yield
    finally:
        for one in asking:
            one.cancel()
