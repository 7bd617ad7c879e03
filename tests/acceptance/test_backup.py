"""Does a dump that was taken under load bring everything back, by the lines of the page on operating?"""

import asyncio
import os
import re
import subprocess
from pathlib import Path

import httpx

from infra.embedded.binaries import postgres_bin, postgres_user
from tests.acceptance.apart import Apart, apart
from tests.acceptance.running import ROLES, ROOT, balanced, ended, probes
from tests.waiting import until_told

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


async def test_a_dump_under_load_is_restored_and_the_work_goes_on(tmp_path: Path) -> None:
    page = (ROOT / "docs/operating.md").read_text()
    dump, restore = BLOCK.findall(page[page.index("## Backup and restore") : page.index("## Sizes and retention")])
    with apart(tmp_path / "home") as here:
        for role in ROLES:
            here.start(role)
        async with here.client() as client:
            await until_told(lambda: _ready(client), 30)
            done = await probes(client, [{"payload": n} for n in range(50)])
            await ended(client, done)
            open_then = await probes(client, [{"payload": n, "work_s": 1} for n in range(40)])
            await asyncio.to_thread(_typed, here, tmp_path, dump)
            later = await probes(client, [{"payload": n} for n in range(10)])
            await ended(client, later)
            before = await _epoch(client)
        assert [here.stop(role) for role in ROLES] == [0, 0, 0, 0]

        _typed(here, tmp_path, restore)
        for role in ROLES:
            here.start(role)
        async with here.client() as client:
            await until_told(lambda: _ready(client), 30)
            found = await ended(client, done + open_then)
            assert [task["result"]["payload"] for task in found] == [*range(50), *range(40)]
            assert (await balanced(client))["accepted"] == len(done + open_then)
            assert (await client.get(f"/v1/tasks/{later[0]}")).status_code == 404, "it came after the dump"
            assert await _epoch(client) != before, "positions are used again"
        await asyncio.to_thread(here.sound)


async def _ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/readyz")).json()["status"] == "ok"
    except httpx.TransportError:
        return False


async def _epoch(client: httpx.AsyncClient) -> str:
    return str((await client.get("/v1/events", params={"limit": 1})).raise_for_status().json()["epoch"])


def _typed(here: Apart, path: Path, commands: str) -> None:
    addresses = {"OWNER": here.servers.dsn("postcommit_owner"), "ADMIN": here.servers.dsn("postgres", "postgres")}
    programs = f"{postgres_bin(postgres_user())}:{os.environ['PATH']}"
    shell = ["bash", "-euc", commands]
    told = subprocess.run(
        shell, cwd=path, env=os.environ | addresses | {"PATH": programs}, capture_output=True, text=True
    )
    assert told.returncode == 0, told.stdout + told.stderr
