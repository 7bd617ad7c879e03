"""`make bench-video`: heavy work beside the plainest way to do it, and requests beside heavy work.

1. One clip of 1080p: a single ffmpeg with the settings of the service, and the service, which codes it by pieces and
   makes a playlist, a poster and thumbnails besides. In turn; then two clips at once with two workers.
2. Requests at an even rate while nothing else is done, and while a film, a thousand images and a report are made."""

import argparse
import asyncio
import gc
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx
from PIL import Image

from adapters.tools.ffmpeg import SOUND_BITS, coded, sized
from domain.video import LADDER, Rendition
from tests.acceptance.running import Running, up
from tests.acceptance.test_reports import ordered
from tests.bench.load import Callers
from tests.films import FFMPEG, ffmpeg, film

HEIGHT, WIDTH, PRESET = 1080, 1920, "veryfast"
SIZE = Rendition(name=f"{HEIGHT}p", width=WIDTH, height=HEIGHT, most_bits=LADDER[HEIGHT])
ONE_SIZE = {"POSTCOMMIT_VIDEO_SIDES": str(HEIGHT), "POSTCOMMIT_VIDEO_PRESET": PRESET}
RATE, LOADED_S, IMAGES, ORDERS = 40.0, 40.0, 1_000, 2_000


@dataclass(frozen=True, slots=True)
class Wall:
    """How long it took: the plain ffmpeg; the service, to take the clips in, and since then until all can be played and
    until all of it is there."""

    clips: int
    plain_s: float
    sent_s: float
    played_s: float
    whole_s: float


@dataclass(frozen=True, slots=True)
class Felt:
    """How long requests took, in milliseconds, and the most memory that a process of ours grew by meanwhile."""

    name: str
    asked: int
    p50: float
    p99: float
    grown_mib: float = 0.0


def walls(folder: Path, clip: Path, clips: int, rounds: int) -> list[Wall]:
    measured = []
    with up(folder / f"home{clips}", "--workers", str(clips), environ=ONE_SIZE) as service:
        for number in range(rounds):
            sources = [_anew(clip, folder / f"clip{clips}-{number}-{each}.mp4") for each in range(clips)]
            plain_s = sum(_plain(source, folder / "plain.mp4") for source in sources)
            measured.append(Wall(clips, plain_s, *asyncio.run(_served(service, sources))))
            sent, played, whole = (f"{getattr(measured[-1], name):.1f} s" for name in ("sent_s", "played_s", "whole_s"))
            _say(f"{clips} at once: plain {plain_s:.1f} s; taken in {sent}, then playable {played}, all of it {whole}")
    return measured


def _anew(clip: Path, path: Path) -> Path:
    """The same film in other bytes: what was made of the same ones would be found."""
    ffmpeg("-i", str(clip), "-c", "copy", "-metadata", f"comment={path.name} {os.getpid()}", str(path))
    return path


def _plain(source: Path, made: Path) -> float:
    begin = time.perf_counter()
    picture = ["-map", "0:v:0", "-vf", ",".join(sized(SIZE)), *coded(PRESET, SIZE, 0)]
    sound = ["-map", "0:a:0", "-ac", "2", "-c:a", "aac", "-b:a", str(SOUND_BITS), "-movflags", "+faststart"]
    argv = [FFMPEG, "-nostdin", "-v", "error", "-y", "-i", str(source), *picture, *sound, str(made)]
    subprocess.run(argv, check=True)
    return time.perf_counter() - begin


async def _served(service: Running, sources: Sequence[Path]) -> tuple[float, float, float]:
    """Until the first is accepted, until the last can be played, and until all of it is there."""
    async with service.client("operator", 300) as client:
        contents = [source.read_bytes() for source in sources]
        sent = datetime.now(UTC)
        took = await asyncio.gather(*(_one(client, content) for content in contents))
    accepted, played, whole = zip(*took, strict=True)
    ends = (min(accepted), max(played), max(whole))
    sent_s = (ends[0] - sent).total_seconds()
    return sent_s, (ends[1] - ends[0]).total_seconds(), (ends[2] - ends[0]).total_seconds()


async def _one(client: httpx.AsyncClient, content: bytes) -> tuple[datetime, datetime, datetime]:
    """When it was accepted, when the task ended after which it can be played, and when the last task ended, by the
    service's clock. Meanwhile it is asked for one task after another, each of which is answered when it has ended."""
    here = (await client.post("/v1/videos", content=content)).raise_for_status().json()["links"]["self"]
    ended: dict[str, dict[str, Any]] = {}
    while (shown := (await client.get(here)).raise_for_status().json())["status"] != "complete":
        assert shown["status"] not in ("failed", "cancelled"), shown
        for id in [id for id in shown["tasks"] if id not in ended]:
            while (task := (await client.get(f"/v1/tasks/{id}?wait=60")).json())["finished_at"] is None:
                pass
            ended[id] = task
    ends = {task["kind"]: datetime.fromisoformat(task["finished_at"]) for task in ended.values()}
    return datetime.fromisoformat(shown["created_at"]), ends["video_package"], max(ends.values())


async def felt(folder: Path, clip: Path, number: int) -> list[Felt]:
    """One round, on servers of its own: alone, and while a film, images and a report are made, none of which is done
    before the end."""
    with (
        up(folder / f"home{number}", environ=ONE_SIZE) as service,
        ProcessPoolExecutor(1, get_context("spawn")) as apart,  # nothing that is done here keeps a request waiting
    ):
        asked = partial(_asking, service.told["http"], service.told["keys"]["client"])
        async with service.client("operator", 300) as client:
            begin = datetime.now(UTC) - timedelta(seconds=1)
            await ordered(client, ORDERS)
            images = _images(IMAGES, number)
            await asyncio.to_thread(apart.submit(asked, 5.0).result)
            alone = _figures("alone", await asyncio.to_thread(apart.submit(asked, LOADED_S).result), 0.0)
            before = _peaks(service)
            film = _anew(clip, folder / f"felt{number}.mp4").read_bytes()
            period = {"begin": begin.isoformat(), "end": (datetime.now(UTC) - timedelta(seconds=1)).isoformat()}
            asking = apart.submit(asked, LOADED_S)
            answers = [
                await client.post("/v1/videos", content=film),
                await client.post("/v1/reports", json=period),
                await client.post("/v1/images/batch", files=images),
            ]
            beside = _figures(
                "beside heavy work", await asyncio.to_thread(asking.result), _most_grown(before, _peaks(service))
            )
            made = [one.raise_for_status().json()["links"]["self"] for one in answers]
            shown = [(await client.get(one)).json() for one in made]
    states = ", ".join(one["status"] for one in shown)
    _say(f"Film, report, images: {states}; {shown[2]['complete']:,} of {shown[2]['total']:,} images are made")
    assert shown[2]["open"] and all(one["status"] not in ("failed", "cancelled") for one in shown), states
    return [*alone, *beside]


def _asking(url: str, key: str, seconds: float) -> dict[str, list[float]]:
    gc.freeze()  # what was imported is not looked through again
    return asyncio.run(_asked(url, key, seconds))


async def _asked(url: str, key: str, seconds: float) -> dict[str, list[float]]:
    """As many requests a second as RATE, of each sort, for so long; how long each took since the moment at which it was
    to be sent."""
    headers = {"Authorization": f"Bearer {key}"}
    posts = Callers(f"{url}/v1/tasks", headers)
    id = json.loads(await posts.post(_wish(0)))["id"]
    gets = Callers(f"{url}/v1/tasks/{id}", headers, "GET")
    took: dict[str, list[float]] = {"GET /v1/tasks/{id}": [], "POST /v1/tasks": []}

    async def one(name: str, callers: Callers, body: bytes, at: float) -> None:
        await callers.post(body)
        took[name].append(time.perf_counter() - at)

    sent, begin, number = set(), time.perf_counter(), 0
    while (at := begin + number / RATE) < begin + seconds:
        await asyncio.sleep(max(at - time.perf_counter(), 0.0))
        for name, callers, body in (("GET /v1/tasks/{id}", gets, b""), ("POST /v1/tasks", posts, _wish(number))):
            sent.add(asyncio.create_task(one(name, callers, body, at)))
        number += 1
    await asyncio.gather(*sent)
    return took


def _wish(number: int) -> bytes:
    return json.dumps({"kind": "probe", "request": {"payload": number}}).encode()


def _images(count: int, seed: int) -> list[tuple[str, tuple[str, bytes, str]]]:
    chance, made = random.Random(seed), []
    for number in range(count):
        image = Image.new("RGB", chance.choice([(640, 480), (1_024, 768)]), tuple(chance.randbytes(3)))  # type: ignore[arg-type]
        held = BytesIO()
        image.save(held, "JPEG")
        made.append(("files", (f"{number}.jpg", held.getvalue(), "image/jpeg")))
    return made


def _figures(name: str, took: dict[str, list[float]], grown_mib: float) -> list[Felt]:
    found = []
    for asked, times in took.items():
        cuts = quantiles(times, n=100)
        found.append(Felt(f"{asked}, {name}", len(times), 1e3 * cuts[49], 1e3 * cuts[98], grown_mib))
        _say(f"{found[-1].name}: {len(times)} requests, p50 {found[-1].p50:.1f} ms, p99 {found[-1].p99:.1f} ms")
    return found


def _peaks(service: Running) -> dict[int, float]:
    """The most memory that each process ever had, in MiB."""
    found = {}
    for pid in service.role_pids:
        [line] = [one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmHWM")]
        found[pid] = int(line.split()[1]) / 1024
    return found


def _most_grown(before: dict[int, float], after: dict[int, float]) -> float:
    return max(peak - before[pid] for pid, peak in after.items())


def table(measured: Sequence[Wall], requests: Sequence[Felt]) -> str:
    lines = [
        "| 1080p, preset veryfast | plain ffmpeg | postcommit | ratio | all of it | taken in before |",
        "|---|---|---|---|---|---|",
    ]
    for clips in sorted({one.clips for one in measured}):
        rows = [one for one in measured if one.clips == clips]
        names = ("plain_s", "played_s", "whole_s", "sent_s")
        plain, played, whole, sent = (median(getattr(one, name) for one in rows) for name in names)
        ratio = median(one.played_s / one.plain_s for one in rows)
        what = "one clip, one worker" if clips == 1 else f"{clips} clips at once, {clips} workers"
        lines.append(f"| {what} | {plain:.1f} s | {played:.1f} s | {ratio:.2f} | {whole:.1f} s | {sent:.1f} s |")
    lines += ["", "| requests | p50 | p99 | ratio of p99 |", "|---|---|---|---|"]
    for asked in dict.fromkeys(one.name.partition(",")[0] for one in requests):
        rows = {
            name: [one for one in requests if one.name == f"{asked}, {name}"] for name in ("alone", "beside heavy work")
        }
        base = median(one.p99 for one in rows["alone"])
        for name, each in rows.items():
            p50, p99 = median(one.p50 for one in each), median(one.p99 for one in each)
            lines.append(f"| {asked}, {name} | {p50:.1f} ms | {p99:.1f} ms | {p99 / base:.2f} |")
    return "\n".join(lines)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the clip is")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", default="one,two,requests")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    parts = given.parts.split(",")
    with tempfile.TemporaryDirectory(prefix="postcommit-bench-") as name:
        folder = Path(name)
        clip = film(folder / "clip.mp4", given.seconds, size=f"{WIDTH}x{HEIGHT}", rate="25")
        measured = [
            row
            for clips, part in ((1, "one"), (2, "two"))
            if part in parts
            for row in walls(folder, clip, clips, given.rounds)
        ]
        rounds = range(given.rounds) if "requests" in parts else ()
        requests = [row for number in rounds for row in asyncio.run(felt(folder, clip, number))]
    print(table(measured, requests))
    if given.json is not None:
        given.json.write_text(json.dumps([asdict(one) for one in (*measured, *requests)], indent=1))


if __name__ == "__main__":
    main()
