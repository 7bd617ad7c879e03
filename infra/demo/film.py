"""The demo's film: sent in two parts, coded piece by piece, its worker killed near the end, and looked at."""

import asyncio
import os
import signal
import subprocess
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import imageio_ffmpeg

from adapters.tools.ffmpeg import Ffmpeg
from domain.video import Found
from infra.demo.service import Service
from infra.demo.telling import Broken, need, say, title, until

SECONDS, FPS, PIECES = 60, 25, 10
SIDES = ("180", "360")
TASKS = {"video_probe": 1, "video_segment": PIECES * len(SIDES), "video_sound": 1, "video_stills": 1}
TASKS |= {"video_package": len(SIDES)}
TUS = {"Tus-Resumable": "1.0.0"}
BYTES = TUS | {"Content-Type": "application/offset+octet-stream"}
KILL_AT, LONGEST_S = 0.9, 120
TRIES = 10  # bytes that were on their way when the line was cut may still come after the first HEAD
CHUNK = 64 * 1024


class Cut(Exception):
    """The connection breaks, because the demo wants it to."""


async def film(client: httpx.AsyncClient, service: Service) -> None:
    title(f"7. A film of {SECONDS} s: its upload is cut, and its worker is killed at {KILL_AT:.0%}")
    source = service.home / "film.mp4"
    await asyncio.to_thread(_made, source)
    video = await _uploaded(client, source)
    await _followed(client, video, KILL_AT)
    before = await _pieces(client, video)
    worker = service.pids()["worker"][0]
    os.kill(worker, signal.SIGKILL)
    done = {id for id, one in before.items() if one["status"] == "complete"}
    say(f"   kill -9 {worker}, and every ffmpeg that it started dies with it.")
    await _followed(client, video, 1.0)
    again = {id: one for id, one in (await _pieces(client, video)).items() if one["attempt"] > 1}
    need(not done & again.keys(), "a piece that was done was done again")
    said = ", ".join(f"{one['request']['rendition']} piece {one['request']['piece']}" for one in again.values())
    say(f"   {len(done)} of {len(before)} pieces were done before the kill: none of them was done again.")
    say(f"   Done again: {said or 'none'}.")
    await _looked_at(client, video, source)


def _made(path: Path) -> None:
    """Colours that move, and a tone."""
    picture = ("-f", "lavfi", "-i", f"testsrc2=size=640x360:rate={FPS}")
    sound = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000")
    coded = ("-t", str(SECONDS), "-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-c:a", "aac")
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", *picture, *sound, *coded, str(path)]
    subprocess.run(argv, check=True)


async def _uploaded(client: httpx.AsyncClient, source: Path) -> str:
    """Send it by tus, with a cut in the middle; answers with the address of the video."""
    data = await asyncio.to_thread(source.read_bytes)
    size = len(data)
    known = {"filename": source.name, "filetype": "video/mp4", "purpose": "video"}
    metadata = ",".join(f"{name} {b64encode(value.encode()).decode()}" for name, value in known.items())
    answer = await client.post("/v1/uploads", headers=TUS | {"Upload-Length": str(size), "Upload-Metadata": metadata})
    need(answer.status_code == 201, f"the upload was answered with {answer.status_code}: {answer.text}")
    where = answer.headers["Location"]
    with suppress(Cut):
        await client.patch(where, headers=BYTES | {"Upload-Offset": "0"}, content=_chunks(data, 0, size // 2))
    for _ in range(TRIES):
        offset = int((await client.head(where, headers=TUS)).headers["Upload-Offset"])
        need(0 < offset < size, "the upload was not cut in its middle")
        headers = BYTES | {"Upload-Offset": str(offset)}
        with suppress(httpx.TransportError):
            if (await client.patch(where, headers=headers, content=_chunks(data, offset, size))).status_code == 204:
                break
    else:
        raise Broken(f"the rest was not taken in {TRIES} tries")
    say(f"   POST /v1/uploads, PATCH … cut. HEAD says that {offset:,} of {size:,} bytes are there: PATCH goes on.")
    return str((await client.get(where)).json()["links"]["video"])


async def _chunks(data: bytes, begin: int, end: int) -> AsyncIterator[bytes]:
    """The bytes from `begin` until before `end`; where the file goes on there, the connection breaks."""
    for at in range(begin, end, CHUNK):
        yield data[at : min(at + CHUNK, end)]
        await asyncio.sleep(0)
    if end < len(data):
        raise Cut


async def _followed(client: httpx.AsyncClient, video: str, share: float) -> None:
    """Until so much of it is done, with a bar."""
    shown = -1 if share < 1.0 else int(10 * KILL_AT)

    async def so_far() -> bool:
        nonlocal shown
        told = (await client.get(f"{video}/status")).json()
        if told["status"] in ("failed", "cancelled"):
            raise Broken(f"the film is {told['status']}: {told['error']}")
        tenths = int(10 * told["progress"])
        if tenths > shown:
            shown = tenths
            say(f"   [{'#' * 3 * tenths:<30}] {told['progress']:>4.0%}  {told['stage']}")
        return bool(told["status"] == "complete" if share == 1.0 else told["progress"] >= share)

    await until(so_far, f"{share:.0%} of the film to be done", LONGEST_S)


async def _pieces(client: httpx.AsyncClient, video: str) -> dict[str, dict[str, Any]]:
    """The tasks that code the picture, by their ids."""
    ids = (await client.get(video)).json()["tasks"]
    tasks = [(await client.get(f"/v1/tasks/{id}")).json() for id in ids]
    return {one["id"]: one for one in tasks if one["kind"] == "video_segment"}


async def _looked_at(client: httpx.AsyncClient, video: str, source: Path) -> None:
    playback = (await client.get(video)).json()["playback"]
    playable = source.with_name("playable.mp4")
    await asyncio.to_thread(playable.write_bytes, (await client.get(playback["mp4"])).raise_for_status().content)
    sent, found = await _probed(source), await _probed(playable)
    shape = f"{found.width} x {found.height}, {found.video_codec} and {found.audio_codec}"
    say(f"   Probed: {found.frames:,} frames, {found.duration_s:.2f} s, {shape}.")
    same = found.frames == sent.frames and abs(found.duration_s - sent.duration_s) <= 1 / FPS
    need(same, f"what was sent has {sent.frames} frames and lasts {sent.duration_s} s")
    say(f"   It plays in a browser for the next 12 hours: {playback['hls'][:28]}…/master.m3u8")


async def _probed(path: Path) -> Found:
    opened = os.open(path, os.O_RDONLY)
    try:
        return (await Ffmpeg().look(opened)).found
    finally:
        os.close(opened)
