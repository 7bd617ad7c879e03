"""Is what was accepted still there after a power cut? A disk that takes nothing more, as root only, else skipped."""

import asyncio
import fcntl
import os
import signal
import struct
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.acceptance.running import Running, balanced, ended, up
from tests.waiting import until

EXT4_IOC_SHUTDOWN, NOT_EVEN_THE_JOURNAL = 0x8004587D, 2  # fs/ext4/ext4.h of Linux
SIZE_BYTES = 6 * 1024**3  # of which the file takes what is used


@dataclass(frozen=True, slots=True)
class Disk:
    """An ext4 file system in a file."""

    image: Path
    path: Path

    def plug_in(self) -> None:
        subprocess.run(["mount", "-o", "loop", str(self.image), str(self.path)], check=True, capture_output=True)

    def cut_the_power(self) -> None:
        """What was not written yet never will be."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", NOT_EVEN_THE_JOURNAL))
        finally:
            os.close(descriptor)

    def unplugged(self) -> bool:
        return subprocess.run(["umount", str(self.path)], capture_output=True).returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "disk.img", tmp_path / "disk")
    if os.geteuid() != 0:
        pytest.skip("The power cut needs root: it mounts a file system of its own.")
    disk.path.mkdir()
    with disk.image.open("wb") as file:
        file.truncate(SIZE_BYTES)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-F", str(disk.image)], check=True, capture_output=True)
        disk.plug_in()
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"The power cut needs a loop mount: {getattr(error, 'stderr', None) or error}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk.path)], check=True)


async def test_what_was_accepted_outlives_a_power_cut(disk: Disk) -> None:
    accepted: list[str] = []
    with up(disk.path / "home") as service:
        async with service.client(timeout=2.0) as client, _load(client, accepted):
            await until(lambda: len(accepted) >= 200, 60)
            disk.cut_the_power()
            await _kill(service, disk.path)
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


async def _kill(service: Running, disk: Path) -> None:
    """Everything that runs there. Sessions of Postgres can hang for good when their disk is gone."""
    service.process.kill()
    service.process.wait()

    def left() -> list[int]:
        found = [pid for pid in _processes() if _works_in(pid, disk)]
        for pid in found:
            with suppress(ProcessLookupError):  # it has ended since
                os.kill(pid, signal.SIGKILL)
        return found

    await until(lambda: not left(), 30)


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _works_in(pid: int, folder: Path) -> bool:
    """Whether the process has its working directory or an open file there."""
    try:
        named = [Path(f"/proc/{pid}/cwd"), *Path(f"/proc/{pid}/fd").iterdir()]
        return any(Path(one.readlink()).is_relative_to(folder) for one in named)
    except OSError:
        return False  # it has ended
