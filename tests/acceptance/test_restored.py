"""Does everybody learn of it when Postgres was restored to an older copy, while NATS kept its newer stream?"""

import os
import shutil
from pathlib import Path
from typing import Any

import httpx

from tests.acceptance.running import balanced, ended, probes, up


async def test_an_older_copy_of_postgres_begins_a_new_epoch_and_the_stream_is_made_anew(tmp_path: Path) -> None:
    home, copy = tmp_path / "home", tmp_path / "copy"
    with up(home) as service:
        async with service.client() as client:
            kept = await probes(client, [{"payload": n} for n in range(30)])
            await ended(client, kept)
            await balanced(client)
            await service.sound()
            before = await _log(client)
    shutil.copytree(home / "postgres", copy, symlinks=True)
    _same_owners(home / "postgres", copy)
    with up(home) as service:
        async with service.client() as client:
            forgotten = await probes(client, [{"payload": n} for n in range(30)])
            await ended(client, forgotten)
            await balanced(client)
            await service.sound()
            later = await _log(client)
    assert (later["epoch"], later["head"]) == (before["epoch"], before["head"] + 3 * len(forgotten))
    shutil.rmtree(home / "postgres")
    copy.rename(home / "postgres")
    with up(home) as service:
        async with service.client() as client:
            new = await probes(client, [{"payload": n} for n in range(10)])
            assert {task["status"] for task in await ended(client, kept + new)} == {"complete"}
            assert (await balanced(client))["accepted"] == len(kept + new)
            assert (await client.get(f"/v1/tasks/{forgotten[0]}")).status_code == 404
            await service.sound()
            now = await _log(client)
            async with service.nats("nats") as nats:
                metadata = (await nats.jetstream().stream_info("LOG")).config.metadata or {}
    assert now["epoch"] not in (before["epoch"], None)
    assert metadata["epoch"] == now["epoch"], "subscribers see it where they read"
    assert now["head"] == before["head"] + 3 * len(new), "positions are used again, with another content"


async def _log(client: httpx.AsyncClient) -> dict[str, Any]:
    return dict((await client.get("/v1/events", params={"limit": 1})).raise_for_status().json())


def _same_owners(source: Path, copy: Path) -> None:
    """Postgres runs as a user of its own where the tests run as root."""
    for path in (copy, *copy.rglob("*")):
        told = (source / path.relative_to(copy)).lstat()
        os.lchown(path, told.st_uid, told.st_gid)
