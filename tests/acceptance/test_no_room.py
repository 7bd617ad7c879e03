"""Where no room is left, does an upload stop and go on, and is work tried again? A small disk; as root."""

import os
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.running import QUICK, history, up
from tests.acceptance.test_videos import complete, same
from tests.films import film
from tests.waiting import until_told

MIB = 1024 * 1024
ROOM = 24 * MIB
TUS = {"Tus-Resumable": "1.0.0"}
BYTES = TUS | {"Content-Type": "application/offset+octet-stream"}
PURPOSE = f"purpose {b64encode(b'video').decode()}"
FEW = 64 * 1024  # bytes: more than names take, and less than a piece


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small one, where the service keeps its files."""
    path = tmp_path / "home/files"
    path.mkdir(parents=True)
    if os.geteuid() != 0:
        pytest.skip("A full disk needs root: it mounts one of its own.")
    try:
        mounting = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(path)]
        subprocess.run(mounting, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"A full disk needs a mount: {getattr(error, 'stderr', None) or error}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


async def test_without_room_an_upload_stops_and_goes_on_and_tasks_are_tried_again(disk: Path, tmp_path: Path) -> None:
    source = film(tmp_path / "film.mp4", 13.0, size="640x360", rate="25")
    data = source.read_bytes()
    small = {"POSTCOMMIT_VIDEO_SIDES": "360", "POSTCOMMIT_VIDEO_PRESET": "ultrafast"}
    with up(tmp_path / "home", environ=QUICK | small | {"POSTCOMMIT_SCRATCH": str(disk / "scratch")}) as service:
        async with service.client("client", 60) as client:
            begun = await client.post(
                "/v1/uploads", headers=TUS | {"Upload-Length": str(len(data)), "Upload-Metadata": PURPOSE}
            )
            where = begun.headers["Location"]
            _leave(disk, len(data) // 2)
            refused = await _patched(client, where, data)
            assert (refused.status_code, refused.json()["type"]) == (507, "/problems/no-room"), refused.text
            offset = await _offset(client, where)
            assert 0 < offset < len(data)
            assert (await _patched(client, where, data)).status_code == 507, "it is asked too early"

            _leave(disk, len(data) - offset + FEW)
            assert (await _patched(client, where, data)).status_code == 204
            [created] = (await client.get("/v1/videos")).json()["items"]
            await until_told(lambda: _stumbled(client, created["links"]["self"]), 30)
            assert (await client.get("/readyz")).status_code == 200

            (disk / "ballast").unlink()
            assert (await client.get(f"{where}/content")).content == data
            await same(client, await complete(client, created), source, tmp_path)
        await service.sound()


def _leave(disk: Path, size_bytes: int) -> None:
    """So much room, and no more."""
    ballast = disk / "ballast"
    ballast.unlink(missing_ok=True)
    told = os.statvfs(disk)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, told.f_bavail * told.f_frsize - size_bytes)


async def _patched(client: httpx.AsyncClient, where: str, data: bytes) -> httpx.Response:
    offset = await _offset(client, where)
    return await client.patch(where, headers=BYTES | {"Upload-Offset": str(offset)}, content=data[offset:])


async def _offset(client: httpx.AsyncClient, where: str) -> int:
    return int((await client.head(where, headers=TUS)).headers["Upload-Offset"])


async def _stumbled(client: httpx.AsyncClient, video: str) -> bool:
    """Whether a task of it has found no room."""
    errors: list[Any] = []
    for id in (await client.get(video)).json()["tasks"]:
        facts = (await history(client, id))["items"]
        errors += [fact["data"]["error"]["type"] for fact in facts if fact["name"] == "task.stumbled"]
    assert set(errors) <= {"no_room"}, errors
    return bool(errors)
