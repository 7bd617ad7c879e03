"""Does a video survive whatever happens to those who make it? Real processes, real films, kill -9."""

import asyncio
import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from tests.acceptance.running import QUICK, Running, ended, history, up
from tests.films import film, likeness, seen, silences_s
from tests.waiting import until, until_told

FRAME_S = 1 / 25
SIDES = {
    "POSTCOMMIT_VIDEO_SIDES": "90,180,720",
    "POSTCOMMIT_VIDEO_PRESET": "ultrafast",
    "POSTCOMMIT_FILES_GRACE_S": "60",
}
LONG = pytest.param(60.0, 10, marks=[pytest.mark.long, pytest.mark.timeout(1_800)])
MOST_SILENT_S = 0.025


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with up(tmp_path_factory.mktemp("service"), environ=QUICK | SIDES) as running:
        yield running


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("films") / "clip.mp4", 13.0, size="320x180", rate="25")


async def test_a_film_can_be_played(service: Running, clip: Path, tmp_path: Path) -> None:
    async with service.client("client") as client:
        created = await sent(client, clip)
        frames = [one async for one in followed(client, created)]
        assert frames[-1]["status"] == "complete"
        assert [one["progress"] for one in frames] == sorted(one["progress"] for one in frames)
        shown = (await client.get(f"/v1/videos/{created['id']}")).json()
        assert [one["name"] for one in shown["renditions"]] == ["90p", "180p"]
        assert shown["source"]["found"]["frames"] == 325 and shown["source"]["filename"] == "clip.mp4"
        await same(client, shown, clip, tmp_path)
        await plays_by_hls(client, shown, tmp_path)
        thumbnails = (await client.get(f"/v1/videos/{created['id']}/files/storyboard.vtt")).text
        assert thumbnails.startswith("WEBVTT") and thumbnails.count("storyboard.jpg#xywh=") == 13
        for name in ("poster.jpg", "storyboard.jpg"):
            answer = await client.get(f"/v1/videos/{created['id']}/files/{name}")
            assert (answer.headers["content-type"], answer.content[:3]) == ("image/jpeg", b"\xff\xd8\xff")
        part = await client.get(shown["playback"]["mp4"], headers={"Range": "bytes=4-7"})
        assert (part.status_code, part.content) == (206, b"ftyp")
    async with service.client("worker") as client:
        assert (await client.get(f"/v1/videos/{created['id']}")).status_code in (403, 404)
    await service.sound()


@pytest.mark.parametrize(("seconds", "kills"), [(6.0, 2), LONG])
async def test_a_crash_costs_one_piece(service: Running, tmp_path: Path, seconds: float, kills: int) -> None:
    """Each time another one dies: the worker with its children, or only an ffmpeg."""
    size = "320x180" if kills == 2 else "1280x720"
    for number in range(kills):
        source = film(tmp_path / f"film{number}.mp4", seconds + number * FRAME_S, size=size, rate="25")
        async with service.client("client") as client:
            created = await sent(client, source)
            killed = asyncio.create_task(_killed(service, client, created, (number + 0.5) / kills, number % 2 == 0))
            [*_, last] = [one async for one in followed(client, created)]
            assert last["status"] == "complete", last
            died = await killed
            shown = (await client.get(f"/v1/videos/{created['id']}")).json()
            await same(client, shown, source, tmp_path)
            again = await _begun_again(client, shown)
            assert sum(again.values()) <= died, f"{died} pieces were in hand, and these were begun again: {again}"
    await service.sound()


async def test_what_was_made_of_the_same_bytes_is_not_made_again(service: Running, clip: Path) -> None:
    async with service.client("client") as client:
        first = await complete(client, await sent(client, clip))
        second = await complete(client, await sent(client, clip))
        kinds = await _kinds(client, second)
        assert kinds == Counter(video_probe=1), "all of it was there"
        of = [(await client.get(one["playback"]["mp4"])).headers["etag"] for one in (first, second)]
        assert of[0] == of[1]
        assert (await client.delete(f"/v1/videos/{second['id']}")).status_code == 202
        assert (await client.get(first["playback"]["mp4"])).status_code == 200, "one may go, and the other stays"


async def test_what_was_cancelled_is_made_again_and_nothing_else(service: Running, tmp_path: Path) -> None:
    source = film(tmp_path / "film.mp4", 14.0, size="320x180", rate="25", sound=False)
    async with service.client("client") as client:
        created = await sent(client, source)
        await until_told(lambda: _stage(client, created, "transcode", 0.0), 30)
        before = await _tasks(client, (await client.get(created["links"]["self"])).json())
        last = [one for one in before if one["kind"] == "video_segment" and one["request"]["rendition"] == "90p"][-1]
        assert (await client.post(f"/v1/tasks/{last['id']}/cancel")).status_code == 202
        [*_, ended] = [one async for one in followed(client, created)]
        assert ended["status"] in ("failed", "cancelled")
        shown = (await client.get(created["links"]["self"])).json()
        assert {one["name"]: one["status"] for one in shown["renditions"]}["180p"] == "complete"
        assert shown["playback"]["mp4"] is not None, "the other size can be played"
        assert (await client.post(shown["links"]["retry"])).status_code == 202
        again = await complete(client, created)
        await same(client, again, source, tmp_path)
        new = {one["id"]: one for one in await _tasks(client, again) if one["id"] not in shown["tasks"]}
        assert sorted(one["kind"] for one in new.values()) == ["video_package", "video_segment"]
        assert "retry" not in again["links"]


async def test_a_deleted_video_runs_no_more_and_holds_no_file(service: Running, tmp_path: Path) -> None:
    source = film(tmp_path / "film.mp4", 40.0, size="640x360", rate="25")
    async with service.client("client") as client:
        created = await sent(client, source)
        await until_told(lambda: _stage(client, created, "transcode"), 30)
        answer = await client.delete(f"/v1/videos/{created['id']}")
        assert answer.status_code == 202
        gone = await client.get(f"/v1/videos/{created['id']}")
        assert (gone.status_code, gone.json()["type"]) == (410, "/problems/gone")
        assert created["id"] not in [one["id"] for one in (await client.get("/v1/videos")).json()["items"]]
        [removal] = await ended(client, answer.json()["tasks"], 30)
        assert removal["status"] == "complete" and removal["result"]["cancelled"] > 0
        upload = (await client.get("/v1/uploads")).json()["items"][0]
    holds = "SELECT count(*) FROM postcommit.holds WHERE stream = ANY($1)"
    streams = [f"video-{created['id']}", f"upload-{upload['id']}"]
    await until_told(lambda: _is_zero(service, holds, streams), 20)
    assert await service.sql("SELECT count(*) FROM postcommit.tasks WHERE status = 'in_progress'") == 0
    assert not [pid for pid in service.pids("worker") if _children(pid)], "nothing codes any more"
    await service.sound()


async def sent(client: httpx.AsyncClient, path: Path) -> dict[str, Any]:
    content = await asyncio.to_thread(path.read_bytes)
    answer = await client.post(
        "/v1/videos", params={"filename": path.name}, content=content, headers={"Content-Type": "video/mp4"}
    )
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def followed(client: httpx.AsyncClient, created: dict[str, Any]) -> Any:
    """Each status that is told, live; it is asked for again when the API was killed."""
    async with client.stream("GET", created["links"]["stream"], timeout=60) as answer:
        assert answer.status_code == 200
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                yield httpx.Response(200, content=line[6:]).json()


async def complete(client: httpx.AsyncClient, created: dict[str, Any]) -> dict[str, Any]:
    [*_, last] = [one async for one in followed(client, created)]
    assert last["status"] == "complete", last
    return dict((await client.get(created["links"]["self"])).json())


async def same(client: httpx.AsyncClient, shown: dict[str, Any], source: Path, folder: Path) -> None:
    """The film that is played is the one that was sent: every frame, at its time, and the sound without a gap."""
    whole = folder / "played.mp4"
    whole.write_bytes((await client.get(shown["playback"]["mp4"])).raise_for_status().content)
    before, after = seen(source), seen(whole)
    assert len(after.frames) == len(before.frames)
    assert abs(after.duration_s - before.duration_s) <= FRAME_S
    assert likeness(source, whole) > 0.8
    if before.sound_s is not None and after.sound_s is not None:
        assert abs(after.sound_s - before.duration_s) < 0.05 and silences_s(whole) < MOST_SILENT_S


async def plays_by_hls(client: httpx.AsyncClient, shown: dict[str, Any], folder: Path) -> None:
    """As a player does it: the master, each playlist, and each part of it by its range."""
    master = (await client.get(shown["playback"]["hls"])).raise_for_status()
    assert master.headers["content-type"] == "application/vnd.apple.mpegurl"
    names = [line for line in master.text.splitlines() if line.endswith(".m3u8")]
    assert names == ["180p.m3u8", "90p.m3u8"]
    for name in names:
        playlist = (await client.get(urljoin(shown["playback"]["hls"], name))).raise_for_status().text
        parts = [tuple(map(int, pair)) for pair in re.findall(r'BYTERANGE[:=]"?(\d+)@(\d+)', playlist)]
        media = re.search(r'URI="([^"]+)"', playlist)
        assert media is not None
        played = b""
        for size, begin in parts:
            part = await client.get(
                urljoin(shown["playback"]["hls"], media[1]), headers={"Range": f"bytes={begin}-{begin + size - 1}"}
            )
            assert (part.status_code, len(part.content)) == (206, size)
            played += part.content
        (folder / "hls.mp4").write_bytes(played)
        found = seen(folder / "hls.mp4")
        assert len(found.frames) == shown["source"]["found"]["frames"]
        steps = [after - before for before, after in zip(found.frames, found.frames[1:], strict=False)]
        assert max(abs(step - FRAME_S) for step in steps) < 0.002
        lasts = sum(float(one) for one in re.findall(r"#EXTINF:([0-9.]+)", playlist))
        assert abs(lasts - shown["source"]["found"]["duration_s"]) <= FRAME_S


async def _killed(service: Running, client: httpx.AsyncClient, created: Any, at: float, worker: bool) -> int:
    """Kill the worker, or one ffmpeg, as soon as the video is so far; answers how many tasks were in hand at most."""

    async def so_far() -> bool:
        told = (await client.get(created["links"]["status"])).json()
        return bool(told["progress"] >= 0.01 + 0.8 * at or told["status"] == "complete")

    await until_told(so_far, 300)
    [pid] = service.pids("worker")
    await until(lambda: bool(_children(pid)) or service.pids("worker") != [pid], 30)
    children = _children(pid)
    for one in [pid] if worker else children[:1]:
        os.kill(one, signal.SIGKILL)
    return (os.cpu_count() or 1) if worker else 1


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def _tasks(client: httpx.AsyncClient, shown: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict((await client.get(f"/v1/tasks/{id}")).json()) for id in shown["tasks"]]


async def _kinds(client: httpx.AsyncClient, shown: dict[str, Any]) -> Counter[str]:
    return Counter(one["kind"] for one in await _tasks(client, shown))


async def _begun_again(client: httpx.AsyncClient, shown: dict[str, Any]) -> Counter[str]:
    """How often tasks were begun after their first time, by kind."""
    found: Counter[str] = Counter()
    for one in await _tasks(client, shown):
        starts = [fact for fact in (await history(client, one["id"]))["items"] if fact["name"] == "task.started"]
        found[one["kind"]] += len(starts) - 1
    return found


async def _stage(client: httpx.AsyncClient, created: dict[str, Any], stage: str, more_than: float = 0.02) -> bool:
    told = (await client.get(created["links"]["status"])).json()
    return bool(told["stage"] == stage and told["progress"] > more_than)


async def _is_zero(service: Running, query: str, *arguments: Any) -> bool:
    return bool(await service.sql(query, *arguments) == 0)
