"""Heavy work of the crash matrix: uploads, films, images, reports, and the index of the search built anew."""

import asyncio
import subprocess
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from uuid import UUID

import av
import httpx
import imageio_ffmpeg
from PIL import Image

from infra.clock import new_id
from infra.drill import stories
from infra.drill.matrix.insisting import answer, told, until, written
from infra.drill.matrix.works import Floor, Judge, Send, Work

SECONDS, FRAMES = 13, 325  # of a film of two pieces
PART = 1_200_000  # bytes of one request of an upload
TUS = {"Tus-Resumable": "1.0.0"}
BYTES = TUS | {"Content-Type": "application/offset+octet-stream"}
TASKS = {"video_probe": 1, "video_sound": 1, "video_package": 1, "video_stills": 1}
WRONG_OFFSET = 409


def clip(path: Path, seconds: int = SECONDS, tone: int = 440) -> bytes:
    """Colours that move, and a tone."""
    picture = ("-f", "lavfi", "-i", "testsrc2=size=256x144:rate=25")
    sound = ("-f", "lavfi", "-i", f"sine=frequency={tone}:sample_rate=48000")
    coded = ("-t", str(seconds), "-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-c:a", "aac")
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *picture, *sound, *coded, str(path)]
    subprocess.run(argv, check=True)
    return path.read_bytes()


def _upload(checked: bool) -> Callable[[Floor], Awaitable[Send]]:
    """Two requests with bytes, each with its checksum or not."""

    async def prepare(floor: Floor) -> Send:
        content = next(floor.numbers).to_bytes(8) * (2 * PART // 8)
        named = sha256(content).hexdigest()
        known = {"filename": "all.bin", "sha256": named}
        announced = ",".join(f"{name} {b64encode(value.encode()).decode()}" for name, value in known.items())
        head = TUS | {"Upload-Length": str(len(content)), "Upload-Metadata": announced}

        async def send() -> Judge:
            headers = head | {"Idempotency-Key": str(new_id())}
            begun = await answer(floor.client, "POST", "/v1/uploads", headers=headers)
            where = str(begun.headers["Location"])
            await _sent(floor.client, where, content, checked)
            return lambda: _arrived(floor.client, where, named)

        return send

    return prepare


async def _sent(client: httpx.AsyncClient, where: str, content: bytes, checked: bool) -> None:
    """As a client does it: whenever a request fails, it asks where to go on."""
    at = 0
    while at < len(content):
        part = content[at : at + PART]
        headers = BYTES | {"Upload-Offset": str(at)}
        if checked:
            headers |= {"Upload-Checksum": f"sha256 {b64encode(sha256(part).digest()).decode()}"}
        with suppress(httpx.HTTPError):
            got = await client.patch(where, headers=headers, content=part)
            if got.status_code < 500 and got.status_code != WRONG_OFFSET:
                got.raise_for_status()
        at = int((await answer(client, "HEAD", where, headers=TUS)).headers["Upload-Offset"])


async def _arrived(client: httpx.AsyncClient, where: str, named: str) -> list[str]:
    shown = await told(client, where)
    content = (await answer(client, "GET", f"{where}/content")).content
    wrong = [] if shown["status"] == "finished" else [f"the upload is {shown['status']}"]
    return wrong + ([] if sha256(content).hexdigest() == named else ["the upload has another SHA-256"])


async def _film(floor: Floor) -> Send:
    content = stories.video(next(floor.numbers), floor.clip)
    return lambda: _shown(floor.client, content, FRAMES)


async def _foreign(floor: Floor) -> Send:
    """It cannot be cut as it comes."""
    number = next(floor.numbers)
    path = floor.service.home / f"foreign-{number}.ts"
    content = await asyncio.to_thread(clip, path, 2, 440 + number)
    return lambda: _shown(floor.client, content, 50)


async def _shown(client: httpx.AsyncClient, content: bytes, frames: int) -> Judge:
    id = (await written(client, "/v1/videos", content=content))["id"]

    async def judge() -> list[str]:
        shown = await told(client, f"/v1/videos/{id}")
        wrong = [] if shown["status"] == "complete" else [f"the film is {shown['status']}"]
        if [one["status"] for one in shown["renditions"]] != ["complete"]:
            wrong.append(f"its renditions are {shown['renditions']}")
        if (shown["poster"] and shown["playback"]["hls"] and shown["playback"]["mp4"]) is None:
            return [*wrong, f"the film has no {shown['poster']}, {shown['playback']}"]
        for path in (shown["poster"], shown["playback"]["hls"]):
            await answer(client, "GET", path)
        film = (await answer(client, "GET", shown["playback"]["mp4"])).content
        found = await asyncio.to_thread(_frames, film)
        return wrong + ([] if found == frames else [f"the film has {found} frames, and had {frames}"])

    return judge


def _frames(film: bytes) -> int:
    """Each is decoded."""
    with av.open(BytesIO(film), "r") as opened:
        return len([*opened.decode(video=0)])


async def _image(floor: Floor) -> Send:
    content = stories.image(next(floor.numbers))

    async def send() -> Judge:
        id = (await written(floor.client, "/v1/images", content=content))["id"]
        return lambda: _sized(floor.client, id, sha256(content).hexdigest())

    return send


async def _sized(client: httpx.AsyncClient, id: str, named: str) -> list[str]:
    shown = await told(client, f"/v1/images/{id}")
    wrong = [] if (shown["status"], shown["sha256"]) == ("complete", named) else [f"the image is {shown['status']}"]
    for one in shown["variants"]:
        content = (await answer(client, "GET", one["href"])).content
        with Image.open(BytesIO(content)) as image:
            if image.size != (one["width"], one["height"]) or len(content) != one["size_bytes"]:
                wrong.append(f"{one['name']} is {image.size}")
    return wrong + ([] if shown["variants"] else ["the image has no sizes"])


async def _removal(floor: Floor) -> Send:
    sent = await written(floor.client, "/v1/images", content=stories.image(next(floor.numbers)))

    async def complete() -> bool:
        return bool((await told(floor.client, f"/v1/images/{sent['id']}"))["status"] == "complete")

    await until(complete, "the image is complete")

    async def send() -> Judge:
        await answer(floor.client, "DELETE", f"/v1/images/{sent['id']}", known=(410,))

        async def judge() -> list[str]:
            got = await answer(floor.client, "GET", f"/v1/images/{sent['id']}", known=(410,))
            return [] if got.status_code == 410 else ["the image is still there"]

        return judge

    return send


async def _report(floor: Floor) -> Send:
    async def send() -> Judge:
        id = (await written(floor.client, "/v1/reports", floor.period))["id"]
        return lambda: _bound(floor, id)

    return send


async def _bound(floor: Floor, id: str) -> list[str]:
    shown = await told(floor.client, f"/v1/reports/{id}")
    facts = (shown["status"], shown["orders"])
    wrong = [] if facts == ("complete", floor.orders) else [f"the report is {facts}, expected {floor.orders} orders"]
    got = await answer(floor.client, "GET", f"/v1/reports/{id}/content", known=(409,))
    return wrong + ([] if got.content.startswith(b"%PDF") and shown["pages"] else ["the report is no PDF"])


async def _search(floor: Floor) -> Send:
    """Whoever asks while it is built anew finds what is there, then also what the old one had lost, and what is new."""
    word = sha256(next(floor.numbers).to_bytes(8)).hexdigest()[:16]  # the search also finds what is like it
    first, lost = [await _item(floor.client, f"{word} {name}") for name in ("first", "lost")]
    await _finds(floor.client, word, {first, lost})
    async with floor.service.postgres() as connection:
        await connection.execute("UPDATE postcommit.search SET title = $1 WHERE id = $2", "spoilt", UUID(lost))

    async def send() -> Judge:
        looking = asyncio.create_task(_look(floor.client, word, first))
        task = (await written(floor.client, "/v1/search/rebuild", {}))["id"]

        async def judge() -> list[str]:
            looking.cancel()
            had, missed = await looking
            wrong = [] if had and not missed else [f"of who asked meanwhile {had} found it, and {missed} did not"]
            result = (await told(floor.client, f"/v1/tasks/{task}"))["result"] or {}
            if result.get("differences") not in (0, 1):  # 0, where an attempt before had put it right
                wrong.append(f"the new index is another: {result}")
            await _finds(floor.client, word, {first, lost, await _item(floor.client, f"{word} late")})
            return wrong

        return judge

    return send


async def _item(client: httpx.AsyncClient, name: str) -> str:
    return str((await written(client, "/v1/items", {"name": name, "price_cents": 100, "currency": "EUR"}))["id"])


async def _hits(client: httpx.AsyncClient, word: str) -> set[str]:
    return {one["id"] for one in (await told(client, "/v1/search", params={"q": word}))["items"]}


async def _look(client: httpx.AsyncClient, word: str, id: str) -> tuple[int, int]:
    """How many answers had it, and how many had not, until it is cancelled."""
    had, missed = 0, 0
    with suppress(asyncio.CancelledError):
        while True:
            hit = int(id in await _hits(client, word))
            had, missed = had + hit, missed + 1 - hit
            await asyncio.sleep(0.02)
    return had, missed


async def _finds(client: httpx.AsyncClient, word: str, ids: set[str]) -> None:
    """Raises TimeoutError where they are not found in time."""

    async def holds() -> bool:
        return await _hits(client, word) == ids

    await until(holds, f"the search finds {len(ids)} items")


HEAVY: Mapping[str, Work] = {
    "upload": Work({"upload": 1}, _upload(checked=True)),
    "plain upload": Work({"upload": 1}, _upload(checked=False)),
    "film": Work({"upload": 1, "video": 1, "video_segment": 2, **TASKS}, _film),
    "foreign film": Work({"upload": 1, "video": 1, "video_segment": 1, **TASKS}, _foreign),
    "image": Work({"upload": 1, "image": 1, "image_sizes": 1}, _image),
    "removal": Work({"upload": 1, "image": 1, "image_sizes": 1, "removal": 1}, _removal),
    "report": Work({"report": 1, "report_plan": 1, "report_section": 2, "report_bind": 1}, _report),
    "search": Work({"item": 3, "search_rebuild": 1}, _search),
}
