"""Do programs of others, as their users have them, work with the service: tus-js-client, and players in a browser?"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.acceptance.running import QUICK, Running, up
from tests.acceptance.test_videos import complete, followed, sent
from tests.browser import browser, showing
from tests.films import film
from tests.node import node, packages

SIDES = {"POSTCOMMIT_VIDEO_SIDES": "90,180", "POSTCOMMIT_VIDEO_PRESET": "ultrafast"}
CUTS = ("0.01", "0.5", "0.99")
LARGE = ("-c:v", "mjpeg", "-q:v", "2")
PLAYS_S = 2.0  # that the clock has to move by
PAGE = """<!doctype html>
<video id="mp4" muted autoplay crossorigin src="{mp4}"></video>
<video id="hls" muted autoplay></video>
<script src="/hls.js"></script>
<script>
const tell = (said) => fetch("/told?" + new URLSearchParams(said));
for (const player of document.querySelectorAll("video")) {{
  player.ontimeupdate = () => {{
    const {{currentTime: at, duration: lasts, videoWidth: width}} = player;
    tell({{name: player.id, at, lasts, width}});
  }};
  player.onerror = () => tell({{name: player.id, error: player.error.message}});
}}
const hls = new Hls();
hls.on(Hls.Events.ERROR, (_, found) => found.fatal && tell({{name: "hls", error: found.details}}));
hls.loadSource("{hls}");
hls.attachMedia(document.getElementById("hls"));
</script>"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with up(tmp_path_factory.mktemp("service"), environ=QUICK | SIDES) as running:
        yield running


async def test_tus_js_client_goes_on_where_it_was_cut(service: Running, tmp_path: Path) -> None:
    """Each time the client dies, and the API with it."""
    source = film(tmp_path / "film.mkv", 6.0, size="1280x720", rate="25", coded=LARGE)
    size_bytes = source.stat().st_size
    argv = [*node("upload.mjs"), f"{service.told['http']}/v1/uploads", service.told["keys"]["client"], str(source)]
    address: list[str] = []
    for cut in CUTS:
        told = await _run([*argv, cut, *address])
        assert float(cut) * size_bytes <= told["sent"] < size_bytes
        assert not address or address == [told["address"]], "it goes on with the same upload"
        address = [told["address"]]
        await service.killed("api")
    assert (await _run([*argv, "1", *address]))["address"] == address[0]
    async with service.client("client") as client:
        upload = (await client.get(address[0])).json()
        assert (await client.get(upload["links"]["content"])).content == source.read_bytes()
        video = (await client.get(upload["links"]["video"])).json()
        assert (video["source"]["filename"], video["source"]["filetype"]) == ("film.mkv", "video/x-matroska")
        [*_, last] = [one async for one in followed(client, video)]
        assert last["status"] == "complete", last
    await service.sound(60)


async def test_a_browser_plays_it(service: Running, tmp_path: Path) -> None:
    program, hls = browser("play a film"), packages() / "hls.js/dist/hls.min.js"
    source = film(tmp_path / "film.mp4", 8.0, size="320x180", rate="25")
    async with service.client("client") as client:
        playback = (await complete(client, await sent(client, source)))["playback"]
    here = service.told["http"]
    page = PAGE.format(**{name: f"{here}{path}" for name, path in playback.items()})
    told: dict[str, dict[str, str]] = {}
    pages = {"/": page.encode(), "/hls.js": hls.read_bytes()}
    async with _serving(pages, told) as address, showing(program, tmp_path / "browser", address):
        for _ in range(300):
            if len(told) == 2 and all(float(one.get("at", 99)) >= PLAYS_S for one in told.values()):
                break
            await asyncio.sleep(0.1)
    assert {name: one.get("error") for name, one in told.items()} == {"mp4": None, "hls": None}
    assert all(float(one["at"]) >= PLAYS_S for one in told.values()), told
    assert all(abs(float(one["lasts"]) - 8.0) <= 0.05 for one in told.values()), told
    assert told["mp4"]["width"] == "320" and told["hls"]["width"] in ("320", "160")


async def _run(argv: list[str]) -> dict[str, Any]:
    running = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    out, _ = await asyncio.wait_for(running.communicate(), 120)
    told = dict(json.loads(out))
    assert running.returncode == 0, told
    return told


@asynccontextmanager
async def _serving(pages: dict[str, bytes], told: dict[str, dict[str, str]]) -> AsyncIterator[str]:
    """A site of another origin, with these pages; whatever is said to /told stands in `told` by its name."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked = urlsplit(head.split()[1])
        if asked.path == "/told":
            said = dict(parse_qsl(asked.query))
            told.setdefault(said["name"], {}).update(said)
        body, kind = pages.get(asked.path, b""), "text/javascript" if asked.path.endswith(".js") else "text/html"
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n".encode())
        writer.write(b"Connection: close\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
