"""Does an upload survive whatever happens to the connection and to the API? Real clients, real processes, kill -9."""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tusclient.client import TusClient

from tests.acceptance.running import QUICK, ROOT, Running, up
from tests.objects import KEYS, new_bucket
from tests.waiting import until

MIB = 1024 * 1024
PIECE = 256 * 1024
TUS = {"Tus-Resumable": "1.0.0"}
CUTS = (0.01, 0.5, 0.99)  # of the whole
MOST_MORE = 64  # MiB that a process may grow by


async def test_an_upload_goes_on_where_it_was_when_the_api_is_killed_in_the_midst_of_it(tmp_path: Path) -> None:
    data = os.urandom(64 * MIB)
    with up(tmp_path) as service:
        where = await _begun(service, data)
        resumed = [await _cut(service, where, data, int(len(data) * cut)) for cut in CUTS]
        assert await _sent(service, where, data, await _offset(service, where)) == len(data)
        assert all(at >= len(data) * cut - 2 * MIB for at, cut in zip(resumed, CUTS, strict=True)), resumed
        await _same(service, where, data)
        await service.sound(60)


async def test_an_upload_into_a_bucket_goes_on_where_it_was(tmp_path: Path, s3: str) -> None:
    data = os.urandom(48 * MIB)
    store = {"POSTCOMMIT_FILES": f"s3://{new_bucket(s3)}/files", "AWS_ENDPOINT_URL": s3}
    with up(tmp_path, environ=QUICK | KEYS | store) as service:
        where = await _begun(service, data)
        sending = asyncio.create_task(_sent(service, where, data[: 24 * MIB], 0, open=True))
        while await _offset(service, where) < 16 * MIB:
            await asyncio.sleep(0.05)
        await service.killed("api")
        sending.cancel()
        await asyncio.wait([sending])
        offset = await _offset(service, where)
        assert offset >= 16 * MIB
        assert await _sent(service, where, data, offset) == len(data)
        await _same(service, where, data)
        told = await asyncio.to_thread(_check, tmp_path, store)
        assert told["the store has every file that is held"] == []


async def test_tuspy_uploads_though_the_api_is_killed_again_and_again(tmp_path: Path) -> None:
    file = tmp_path / "film.mp4"
    file.write_bytes(data := os.urandom(64 * MIB))
    with up(tmp_path / "home") as service:
        client = TusClient(f"{service.told['http']}/v1/uploads", {"Authorization": f"Bearer {_key(service)}"})
        known = {"filename": file.name, "filetype": "video/mp4", "sha256": hashlib.sha256(data).hexdigest()}
        uploader = client.uploader(
            str(file), chunk_size=MIB, metadata=known, retries=30, retry_delay=1, upload_checksum=True
        )
        uploading = asyncio.create_task(asyncio.to_thread(uploader.upload))
        for cut in CUTS:
            await until(lambda cut=cut: uploading.done() or uploader.offset >= len(data) * cut, 60)  # type: ignore[misc]
            assert not uploading.done() or cut == CUTS[-1]
            await service.killed("api")
        await asyncio.wait_for(uploading, 120)
        assert await _offset(service, str(uploader.url)) == len(data)
        await _same(service, str(uploader.url), data)
        async with service.client("client") as http:
            shown = (await http.get(str(uploader.url))).json()
        assert (shown["status"], shown["filename"], shown["filetype"]) == ("finished", "film.mp4", "video/mp4")
        await service.sound(60)
        next((service.home / "files/files").glob("*/*")).unlink()
        broken = {one.name: one.offenders for one in await service.findings()}
        assert list(broken) == ["the store has every file that is held"]
        assert shown["sha256"] in broken["the store has every file that is held"][0]


@pytest.mark.parametrize("size_mib", [256, pytest.param(3 * 1024, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
async def test_the_api_needs_no_more_memory_for_a_large_one(tmp_path: Path, size_mib: int) -> None:
    piece, sum = os.urandom(MIB), hashlib.sha256()

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(size_mib):
            sum.update(piece)
            yield piece

    with up(tmp_path) as service:
        where = await _begun(service, b"one")
        await _sent(service, where, b"one", 0)
        before = _peaks(service)
        async with service.client("client", 600) as http:
            begun = await http.post("/v1/uploads", headers=TUS | {"Upload-Length": str(size_mib * MIB)})
            headers = TUS | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
            assert (await http.patch(begun.headers["Location"], headers=headers, content=chunks())).status_code == 204
            shown = (await http.get(begun.headers["Location"])).json()
            assert (shown["status"], shown["sha256"]) == ("finished", sum.hexdigest())
            read = hashlib.sha256()
            async with http.stream("GET", shown["links"]["content"]) as answer:
                async for chunk in answer.aiter_bytes():
                    read.update(chunk)
        assert read.digest() == sum.digest()
        grown = {name: after - before[name] for name, after in _peaks(service).items()}
        print(f"{size_mib} MiB: every process grew by at most {max(grown.values()):.0f} MiB")
        assert max(grown.values()) <= MOST_MORE, grown


async def _begun(service: Running, data: bytes) -> str:
    known = {"Upload-Length": str(len(data))}
    async with service.client("client") as http:
        answer = await http.post("/v1/uploads", headers=TUS | known)
        assert answer.status_code == 201, answer.text
        return str(answer.headers["Location"])


async def _cut(service: Running, where: str, data: bytes, at: int) -> int:
    """Kill the API when so many bytes have arrived; answers with where the upload goes on."""
    part = service.home / "files/uploads" / where.rpartition("/")[2]

    def arrived() -> int:
        return part.stat().st_size

    sending = asyncio.create_task(_sent(service, where, data[: at + 2 * MIB], await _offset(service, where), open=True))
    await until(lambda: arrived() >= min(at, len(data) - 2 * MIB), 30)
    await service.killed("api")
    sending.cancel()
    await asyncio.wait([sending])
    return await _offset(service, where)


async def _sent(service: Running, where: str, data: bytes, offset: int, open: bool = False) -> int:
    """Send it from there on, with a connection that is left `open` at its end."""

    async def chunks() -> AsyncIterator[bytes]:
        for begin in range(offset, len(data), PIECE):
            yield data[begin : begin + PIECE]
            await asyncio.sleep(0)
        if open:
            await asyncio.sleep(60)

    headers = TUS | {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
    async with service.client("client", 120) as http:
        answer = await http.patch(where, headers=headers, content=chunks())
        assert answer.status_code == 204, answer.text
        return int(answer.headers["Upload-Offset"])


async def _offset(service: Running, where: str) -> int:
    """As soon as somebody answers."""
    answer: Any = None

    async def asked() -> bool:
        nonlocal answer
        try:
            async with service.client("client") as http:
                answer = await http.head(where, headers=TUS)
        except httpx.HTTPError:
            return False
        return bool(answer.status_code == 200)

    while not await asked():
        await asyncio.sleep(0.05)
    return int(answer.headers["Upload-Offset"])


async def _same(service: Running, where: str, data: bytes) -> None:
    async with service.client("client", 60) as http:
        assert (await http.get(f"{where}/content")).content == data


def _check(home: Path, store: dict[str, str]) -> dict[str, list[str]]:
    argv = [sys.executable, "-m", "infra.cli", "check", "--home", str(home), "--json"]
    told = subprocess.run(argv, cwd=ROOT, env=os.environ | KEYS | store, stdout=subprocess.PIPE, check=True)
    return dict(json.loads(told.stdout)["invariants"])


def _key(service: Running) -> str:
    return str(service.told["keys"]["client"])


def _peaks(service: Running) -> dict[str, float]:
    """The most memory that each of our processes ever had, in MiB."""
    return {f"{name} {pid}": _peak(pid) for pid, name in service.role_pids.items()}


def _peak(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024
