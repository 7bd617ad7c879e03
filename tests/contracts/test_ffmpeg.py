"""Is a film that was cut and joined the film that it was? Every frame once, at its time, and the sound beside it."""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from PIL import Image

from adapters.tools.ffmpeg import Bounds, Ffmpeg, Looked, NoFilm, codecs_of
from domain import video
from domain.file import File
from domain.video import Planned
from tests.films import ffmpeg, film, likeness, seen, silences_s

TOOL = Ffmpeg(threads=1, bounds=Bounds(shortest_s=1.0))
SHORT = Ffmpeg(bounds=Bounds(most_pixels=1_000_000, longest_s=2.5, most_fps=50, most_streams=3, most_frames=400))
NOTHING = File(sha256="0" * 64, size_bytes=0)
X264 = ("-c:v", "libx264", "-preset", "ultrafast")


def plain(path: Path) -> Path:
    return film(path / "film.mp4")


def open_gops(path: Path) -> Path:
    coded = (*X264, "-preset", "veryfast", "-bf", "3", "-g", "24", "-x264-params", "open-gop=1:scenecut=0")
    return film(path / "film.mp4", coded=coded)


def few_keyframes(path: Path) -> Path:
    return film(path / "film.mkv", coded=(*X264, "-g", "1000", "-bf", "2"))


def turned(path: Path) -> Path:
    ffmpeg("-display_rotation", "90", "-i", str(plain(path)), "-c", "copy", str(path / "turned.mp4"))
    return path / "turned.mp4"


def changing_rate(path: Path) -> Path:
    """Every third frame is left away, and every seventh after those."""
    picked = "select='mod(n,3)*mod(n,7)',setpts='PTS+0.013/TB*mod(N,2)'"
    coded = (*X264, "-bf", "2", "-vf", picked, "-fps_mode", "passthrough", "-enc_time_base", "1/90000")
    return film(path / "film.mp4", coded=coded)


def cut_by_an_edit_list(path: Path) -> Path:
    whole = film(path / "whole.mp4", 8.0)
    ffmpeg("-ss", "1.234", "-i", str(whole), "-c", "copy", str(path / "film.mp4"))
    return path / "film.mp4"


def in_a_transport_stream(path: Path) -> Path:
    ffmpeg("-i", str(plain(path)), "-c", "copy", "-f", "mpegts", str(path / "film.ts"))
    return path / "film.ts"


def with_old_sound(path: Path) -> Path:
    ffmpeg("-i", str(plain(path)), "-c:v", "mpeg4", "-g", "40", "-c:a", "adpcm_ms", str(path / "old.avi"))
    return path / "old.avi"


def from_a_phone(path: Path) -> Path:
    return film(path / "film.avi", rate="25", coded=("-c:v", "mpeg4", "-bf", "0", "-g", "40"))


def in_webm(path: Path) -> Path:
    coded = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-g", "40", "-c:a", "libopus")
    path = path / "film.webm"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-t", "4", *coded, str(path))
    return path


def silent(path: Path) -> Path:
    return film(path / "film.mp4", sound=False)


FILMS: Mapping[str, Callable[[Path], Path]] = {
    one.__name__: one
    for one in (
        *(plain, open_gops, few_keyframes, turned, changing_rate, cut_by_an_edit_list),
        *(in_a_transport_stream, from_a_phone, with_old_sound, in_webm, silent),
    )
}


@pytest.mark.parametrize("name", FILMS)
async def test_a_film_in_pieces_is_the_film(name: str, tmp_path: Path) -> None:
    source, looked = await _cuttable(FILMS[name](tmp_path), tmp_path)
    planned = _planned(looked)
    made, given = _folders(tmp_path)
    for number, piece in enumerate(planned.pieces):
        path, frames = await TOOL.segment(_opened(source), made, planned, planned.renditions[-1], piece, _unheard)
        assert frames == piece.frames == len(seen(path).frames), f"piece {number} of {planned.pieces}"
        path.rename(given / f"{number}.mp4")
    if looked.found.audio_codec is not None:
        sound = await TOOL.sound(_opened(source), made, planned, _unheard)
        sound.rename(given / "sound.m4a")
    media, playlist, whole = await TOOL.package(given, made, planned, best=True)
    assert whole is not None and "media.mp4" in playlist.read_text()
    assert codecs_of(media, True).startswith("avc1.")

    before = seen(source)
    assert len(planned.pieces) >= 3 and sum(piece.frames for piece in planned.pieces) == len(before.frames)
    for after in (seen(media), seen(whole)):
        assert (after.width, after.height) == (looked.found.width, looked.found.height)
        assert len(after.frames) == len(before.frames)
        apart = [a - after.frames[0] - (b - before.frames[0]) for a, b in zip(after.frames, before.frames, strict=True)]
        assert max(map(abs, apart)) < 0.002
        if looked.found.audio_codec is not None:
            assert after.sound_s == pytest.approx(looked.found.duration_s, abs=0.05)
    if looked.found.audio_codec is not None:
        assert silences_s(whole) < 0.025
    if name != "turned":
        assert likeness(source, whole) > 0.9


async def test_pieces_are_of_one_length_as_far_as_frames_that_need_no_other_allow(tmp_path: Path) -> None:
    coded = (*X264, "-bf", "0", "-g", "10", "-x264-params", "scenecut=0")
    looked = await TOOL.look(_opened(film(tmp_path / "film.mp4", 4.6, rate="25", coded=coded)))
    frames = [piece.frames for piece in looked.pieces]
    assert sum(frames) == 115 and len(frames) == 5 and max(frames) - min(frames) <= 10, frames


async def test_a_rendition_is_smaller_and_has_the_same_frames(tmp_path: Path) -> None:
    source = film(tmp_path / "film.mp4", 3.0, size="640x360")
    planned = _planned(await TOOL.look(_opened(source)), sides=(90, 180, 720))
    assert [(one.name, one.width, one.height) for one in planned.renditions] == [("90p", 160, 90), ("180p", 320, 180)]
    made, _ = _folders(tmp_path)
    path, frames = await TOOL.segment(
        _opened(source), made, planned, planned.renditions[0], planned.pieces[1], _unheard
    )
    found = seen(path)
    assert (found.width, found.height, len(found.frames)) == (160, 90, frames)


async def test_stills_are_taken(tmp_path: Path) -> None:
    source = film(tmp_path / "film.mp4", 12.5)
    planned = _planned(await TOOL.look(_opened(source)))
    made, _ = _folders(tmp_path)
    poster, sheet, laid = await TOOL.stills(lambda: _opened(source), made, planned)
    assert (laid.columns, laid.count, laid.width, laid.height) == (10, 13, 160, 90)
    assert (_size(poster), _size(sheet)) == ((320, 180), (1600, 180))


async def test_a_film_of_one_key_frame_has_its_sheet(tmp_path: Path) -> None:
    source = film(tmp_path / "film.mp4", 2.0, rate="25", coded=(*X264, "-g", "250"))
    planned = _planned(await TOOL.look(_opened(source)))
    made, _ = _folders(tmp_path)
    _, sheet, laid = await TOOL.stills(lambda: _opened(source), made, planned)
    assert (laid.count, _size(sheet)) == (2, (1600, 90))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: film(path / "f.mp4", 0.2, size="1280x800"), "1280 x 800 pixels; the most is 1000000"),
        (lambda path: film(path / "f.mp4", 3.0), "It runs for 3 s; the most is 2"),
        (
            lambda path: film(path / "f.mp4", 2.0, rate="100", sound=False),
            "200 frames in 2.0 s; the most is 50 a second",
        ),
        (lambda path: film(path / "f.mp4", 2.0, rate="240", sound=False), "more than 400 frames"),
    ],
)
async def test_what_is_beyond_the_bounds_is_refused(make: Callable[[Path], Path], words: str, tmp_path: Path) -> None:
    with pytest.raises(NoFilm, match=words):
        await SHORT.look(_opened(make(tmp_path)))


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


async def _cuttable(source: Path, tmp_path: Path) -> tuple[Path, Looked]:
    looked = await TOOL.look(_opened(source))
    if looked.cuttable:
        return source, looked
    (tmp_path / "contained").mkdir()
    contained = await TOOL.contain(_opened(source), tmp_path / "contained", looked.found)
    return contained, await TOOL.look(_opened(contained))


def _planned(looked: Looked, sides: tuple[int, ...] = (4_320,)) -> Planned:
    return Planned(
        found=looked.found,
        pieces=looked.pieces,
        renditions=video.renditions(looked.found, sides),
        work=NOTHING,
        preset="ultrafast",
    )


def _folders(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("made", "given"):
        shutil.rmtree(tmp_path / name, ignore_errors=True)
        (tmp_path / name).mkdir()
    return tmp_path / "made", tmp_path / "given"


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY)


def _unheard(_: int) -> None: ...
