"""Files that strangers send as films, and that are none: broken, lying, greedy, or out for the files and the network of
whoever opens them. `CANARY` stands for an address that somebody listens at, `SECRET` for a file beside them."""

import gzip
import io
import os
import struct
import tarfile
import zipfile
from pathlib import Path

from PIL import Image

from tests.films import ffmpeg, film

MIB = 1024 * 1024
X264 = ("-c:v", "libx264", "-preset", "ultrafast")
LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 9))


def corpus(folder: Path, canary: str, secret: Path) -> dict[str, Path]:
    """The files by what they are."""
    texts = {
        "text": "This is no film.\n" * 100,
        "a web page": f'<html><video src="{canary}/a.mp4"></html>',
        "ffconcat of a sibling": f"ffconcat version 1.0\nfile '{secret.name}'\n",
        "ffconcat of a path": f"ffconcat version 1.0\nfile '{secret}'\n",
        "ffconcat of an address": f"ffconcat version 1.0\nfile '{canary}/a.mp4'\n",
        "hls of an address": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{canary}/a.ts\n#EXT-X-ENDLIST\n",
        "hls of a file": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{secret}\n#EXT-X-ENDLIST\n",
        "hls with a key": f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{canary}/key"\n#EXTINF:9,\n{canary}/a.ts\n',
        "dash": f'<?xml version="1.0"?><MPD type="static"><BaseURL>{canary}/</BaseURL><Period><AdaptationSet '
        'mimeType="video/mp4"><Representation id="1"><BaseURL>a.mp4</BaseURL></Representation></AdaptationSet>'
        "</Period></MPD>",
        "a bomb of xml": f'<?xml version="1.0"?><!DOCTYPE MPD [<!ENTITY l0 "lol">{LAUGHS}]><MPD>&l8;</MPD>',
        "svg": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{canary}/a.png"/></svg>',
        "svg with an entity": f'<!DOCTYPE s [<!ENTITY x SYSTEM "file://{secret}">]><svg>&x;</svg>',
        "sdp": "v=0\nc=IN IP4 127.0.0.1\nt=0 0\n"
        f"m=video {canary.rpartition(':')[2]} RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        "a script": "#!/bin/sh\ntouch hacked\n",
        "subtitles": "WEBVTT\n\n00:00.000 --> 00:09.000\nHello\n",
        "metadata": ";FFMETADATA1\ntitle=none\n",
        "a playlist of songs": f"#EXTM3U\n{canary}/song.mp3\n",
    }
    data = {
        "nothing": b"",
        "a byte": b"\x00",
        "zeros": bytes(MIB),
        "noise": os.urandom(MIB),
        "noise that begins as mp4": b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2" + os.urandom(MIB),
        "noise that begins as matroska": b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01" + os.urandom(MIB),
        "a program": Path("/bin/true").read_bytes(),
        "boxes within boxes": _nested(20_000),
        "a box that is longer than the file": b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2\x7f\xff\xff\xffmoov",
        "packets of nothing": (b"\x47\x1f\xff\x10" + b"\xff" * 184) * 40_000,
        "a bomb of gzip": gzip.compress(bytes(64 * MIB)),
        "a bomb of zip": _zipped(),
        "a tape": _taped(secret),
        "400 megapixels": _png(),
        "a photograph": _jpeg(),
    }
    made = {name: _written(folder, name, text.encode()) for name, text in texts.items()}
    made |= {name: _written(folder, name, some) for name, some in data.items()}
    return made | _films(folder)


def _films(folder: Path) -> dict[str, Path]:
    """Such that ffmpeg itself made, and that were spoiled then."""
    good = film(folder / "good.mp4", 2.0)
    whole = good.read_bytes()
    moov = whole.index(b"moov") - 4
    cut = {"cut off before its index": whole[: moov // 2], "cut off in its index": whole[: moov + 200]}
    cut["without its frames"] = b"\x00\x00\x00\x08free" + whole[:32] + whole[moov:]
    cut["of 10,000 streams"] = _many_streams(whole, moov)
    made = {name: _written(folder, name, data) for name, data in cut.items()}
    ffmpeg("-f", "lavfi", "-i", "sine", "-t", "2", str(folder / "sound.mp4"))
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x64:rate=5000", "-t", "1", *X264, str(folder / "fast.mp4"))
    ffmpeg("-f", "lavfi", "-i", "color=size=9000x4000:rate=1", "-t", "1", "-c:v", "mjpeg", str(folder / "large.mov"))
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=64x64", "-t", "1", "-c:v", "qtrle", str(folder / "rare.mov"))
    rest = {"only sound": "sound.mp4", "5,000 frames a second": "fast.mp4", "36 megapixels": "large.mov"}
    return made | {name: folder / file for name, file in (rest | {"of a rare codec": "rare.mov"}).items()}


def _written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / f"{name.replace(' ', '-').replace(',', '')}.mp4"
    path.write_bytes(data)
    return path


def _nested(depth: int) -> bytes:
    head = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2"
    return head + b"".join(struct.pack(">I", 8 * (depth - level)) + b"moov" for level in range(depth))


def _many_streams(whole: bytes, moov: int) -> bytes:
    """The index with its first stream 10,000 times."""
    trak = whole.index(b"trak", moov) - 4
    [size] = struct.unpack(">I", whole[trak : trak + 4])
    more = whole[trak : trak + size] * 10_000
    [index] = struct.unpack(">I", whole[moov : moov + 4])
    return whole[:moov] + struct.pack(">I", index + len(more)) + whole[moov + 4 : trak] + more + whole[trak:]


def _zipped() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("film.mp4", bytes(64 * MIB))
    return held.getvalue()


def _taped(secret: Path) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        archive.add(secret, arcname="film.mp4")
    return held.getvalue()


def _png() -> bytes:
    held = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(held, "PNG")
    return held.getvalue()


def _jpeg() -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (640, 480), "red").save(held, "JPEG")
    return held.getvalue()
