"""ffmpeg on films of strangers: looks into them, cuts the picture into pieces, codes each, and joins what was made.

The picture is cut by the times of its frames, as the file has them: a piece is decoded from a frame before it on, and
what lies outside of it is left away. So no frame is lost or doubled, however well the container can seek. The sound is
coded in one piece, because every coder of sound adds silence to the beginning."""

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import msgspec

from adapters.tools.sandbox import Broken, Hindered, Limits, plain, run
from domain.video import Found, Piece, Planned, Rendition

LOOK = str(Path(__file__).with_name("children") / "look.py")
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,avi"
QUIET = ("-nostdin", "-hide_banner", "-loglevel", "error", "-y")
TOLD = ("-progress", "pipe:1", "-nostats", "-stats_period", "5")
HD = 1920 * 1080  # pixels
GIB = 1024**3
WAVE = 200_000  # bytes of a second of sound that is not coded, at most, in each channel
HLS_S = 6  # of one part of a playlist
SOUND_BITS = 128_000
THUMBNAIL, COLUMNS, MOST_THUMBNAILS = 160, 10, 100
POSTER = 1280

Heard = Callable[[int], None]  # how many frames are done


class NoFilm(Exception):
    """It is nothing that can be played; the message is a full sentence."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a film may be at most; a piece is at least `shortest_s` long, and there are at most `most_pieces`."""

    shortest_s: float = 6.0
    most_pieces: int = 200
    most_streams: int = 32
    most_pixels: int = 7680 * 4320
    longest_s: float = 86_400.0
    most_fps: int = 300
    most_frames: int = 10_000_000


@dataclass(frozen=True, slots=True)
class Looked:
    found: Found
    pieces: tuple[Piece, ...]
    cuttable: bool  # as it is; else its streams must be put into another container before
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ffmpeg:
    """`threads` of one child that codes pictures."""

    threads: int = 2
    bounds: Bounds = Bounds()

    async def look(self, source: int) -> Looked:
        """Raises NoFilm and Hindered."""
        size = os.fstat(source).st_size
        limits = Limits(wall_s=300 + size / 1_000_000, cpu_s=60 + size / 10_000_000, memory_bytes=2 * GIB)
        asked = msgspec.json.encode(_plain(self.bounds)).decode()
        readable = {sys.prefix, sys.base_prefix, str(Path(LOOK).parent)}
        try:
            argv = (sys.executable, "-I", LOOK, asked)
            told = msgspec.json.decode(await run(argv, limits=limits, source=source, readable=sorted(readable)))
        except Hindered:
            raise
        except (Broken, msgspec.DecodeError) as error:
            raise NoFilm(f"Whoever looks into it ends badly: {error}") from error
        if "refused" in told:
            raise NoFilm(told["refused"])
        return _looked(told)

    async def contain(self, source: int, made: Path, found: Found) -> Path:
        """Its streams as they are, in a container that can be cut. Raises NoFilm where there is none for them."""
        size = os.fstat(source).st_size
        most = 2 * size + GIB + int(found.duration_s * found.audio_channels * WAVE)
        limits = Limits(wall_s=300 + size / 500_000, cpu_s=60 + size / 5_000_000 + found.duration_s, file_bytes=most)
        maps = ("-map", "0:v:0", "-map", "0:a:0?", "-c:v", "copy", "-c:a")
        words = ""
        for sound, container in (("copy", "mp4"), ("pcm_s16le", "mov")):  # old kinds of sound have no place in an mp4
            os.lseek(source, 0, os.SEEK_SET)
            try:
                await _run([*_taken(), *maps, sound, "-f", container, f"contained.{container}"], limits, source, made)
            except Hindered:
                raise
            except Broken as error:
                words = str(error).partition("\n")[0]
            else:
                return made / f"contained.{container}"
        raise NoFilm(f"Its picture or its sound cannot be put into a container that can be cut: {words}")

    async def segment(
        self, source: int, made: Path, planned: Planned, rendition: Rendition, piece: Piece, heard: Heard
    ) -> tuple[Path, int]:
        """One piece of the picture, and how many frames it has."""
        before = _from(piece.seek_us + 1_000) if piece.seek_us is not None else []
        argv = [*_taken(*before, threads=self.threads), "-map", "0:v:0", "-an", "-sn", "-dn"]
        argv += ["-vf", ",".join((*_cut(piece), *sized(rendition))), *coded(planned.preset, rendition, self.threads)]
        frames = 0

        def hear(line: str) -> None:
            nonlocal frames
            if line.startswith("frame="):
                frames = int(line.partition("=")[2])
                if frames < piece.frames:  # that all are done, the end tells
                    heard(frames)

        await _run([*argv, *TOLD, "segment.mp4"], _limits(planned, piece), source, made, hear)
        if not frames:
            raise Broken("No frame of this piece can be decoded.")
        return made / "segment.mp4", frames

    async def sound(self, source: int, made: Path, planned: Planned, heard: Heard) -> Path:
        """All of the sound, beside the picture: silence where there is none, and as long as that."""
        begin, duration = planned.pieces[0].first_us / 1e6, planned.found.duration_s
        shifted = f"atrim=start={begin:.6f}:end={begin + duration:.6f},asetpts=PTS-{begin:.6f}/TB"
        filters = (
            f"{shifted},aresample=48000:async=1:first_pts=0,apad=whole_dur={duration:.6f},atrim=end={duration:.6f}"
        )
        argv = [*_taken(), "-map", "0:a:0", "-vn", "-sn", "-dn", "-af", filters, "-ac", "2", "-c:a", "aac"]
        argv += ["-b:a", str(SOUND_BITS), *TOLD, "-f", "mp4", "sound.m4a"]
        cost = 120 + duration
        await _run(argv, Limits(wall_s=4 * cost, cpu_s=cost), source, made, _by_time(heard))
        return made / "sound.m4a"

    async def package(self, given: Path, made: Path, planned: Planned, best: bool) -> tuple[Path, Path, Path | None]:
        """Join the pieces `given` as 0.mp4, 1.mp4, … and sound.m4a, if there is one: media and playlist of HLS, and, of
        the `best` rendition, an MP4 to be played while it loads."""
        (made / "list.txt").write_text(_listed(given, planned.pieces))
        joined = ["-f", "concat", "-safe", "0", "-i", "list.txt"]
        maps = ["-map", "0:v:0"]
        if planned.found.audio_codec is not None:
            joined += ["-i", str(given / "sound.m4a")]
            maps += ["-map", "1:a:0"]
        taken = [*maps, "-c", "copy"]
        cost = 120 + planned.found.duration_s
        argv = [*QUIET, *joined, *taken, "-f", "hls", "-hls_time", str(HLS_S), "-hls_playlist_type", "vod"]
        argv += ["-hls_segment_type", "fmp4", "-hls_flags", "single_file", "-hls_segment_filename", "media.mp4"]
        argv += ["playlist.m3u8", *([*taken, "-movflags", "+faststart", "whole.mp4"] if best else [])]
        await _run(argv, Limits(wall_s=4 * cost, cpu_s=cost), None, made, given=given)
        return made / "media.mp4", made / "playlist.m3u8", made / "whole.mp4" if best else None

    async def stills(self, opened: Callable[[], int], made: Path, planned: Planned) -> tuple[Path, Path, "Sheet"]:
        """A poster from the tenth part on, and the sheet of thumbnails."""
        found, begin = planned.found, planned.pieces[0].first_us / 1e6
        every = max(1.0, found.duration_s / MOST_THUMBNAILS)
        sheet = Sheet(COLUMNS, max(1, min(round(found.duration_s / every), MOST_THUMBNAILS)), every, *_thumbnail(found))
        cost = 300 + 10 * found.duration_s * _size(found)
        limits = Limits(wall_s=4 * cost, cpu_s=cost, memory_bytes=_memory(found), file_bytes=GIB)
        at = begin + found.duration_s / 10
        argv = [
            *_taken("-noaccurate_seek", "-seek_timestamp", "1", "-ss", f"{at:.6f}"),
            "-map",
            "0:v:0",
            "-frames:v",
            "1",
        ]
        wide = min(POSTER, found.width)
        argv += ["-vf", f"scale={wide}:{_even(wide * found.height / found.width)},setsar=1,format=yuvj420p"]
        await _run([*argv, "-q:v", "3", "poster.jpg"], limits, opened(), made)
        rows = -(-sheet.count // COLUMNS)
        timed = f"setpts=PTS-{begin:.6f}/TB,fps=1/{every:.6f}:start_time=0:eof_action=pass"  # else one alone is dropped
        tiled = f"{timed},scale={sheet.width}:{sheet.height},setsar=1"
        argv = [*_taken("-skip_frame", "nokey"), "-map", "0:v:0", "-frames:v", "1"]
        argv += [
            "-vf",
            f"{tiled},tpad=stop_mode=clone:stop={sheet.count},tile={COLUMNS}x{rows}:nb_frames={sheet.count}",
        ]
        await _run([*argv, "-pix_fmt", "yuvj420p", "-q:v", "5", "sheet.jpg"], limits, opened(), made)
        return made / "poster.jpg", made / "sheet.jpg", sheet


@dataclass(frozen=True, slots=True)
class Sheet:
    columns: int
    count: int
    every_s: float
    width: int
    height: int


async def _run(
    argv: Sequence[str],
    limits: Limits,
    source: int | None,
    made: Path,
    heard: Callable[[str], None] | None = None,
    given: Path | None = None,
) -> None:
    program = imageio_ffmpeg.get_ffmpeg_exe()
    readable = (program,)
    await run((program, *argv), limits=limits, source=source, given=given, made=made, heard=heard, readable=readable)


def _taken(*before: str, threads: int = 1) -> list[str]:
    """The foreign file on standard input, with its times as they are, and nothing else to be opened."""
    return [
        *QUIET,
        *("-filter_threads", "1", "-copyts", "-protocol_whitelist", "fd", "-format_whitelist", CONTAINERS),
        *("-threads", str(threads), *before, "-i", "fd:"),
    ]


def _from(micro: int) -> list[str]:
    """From the last frame on that is not after this time and needs no other."""
    return ["-noaccurate_seek", "-seek_timestamp", "1", "-ss", _seconds(micro)]


def _cut(piece: Piece) -> list[str]:
    cuts = (("start", piece.from_us), ("end", piece.until_us))
    edges = [f"{name}={_seconds(at)}" for name, at in cuts if at is not None]
    return [*([f"trim={':'.join(edges)}"] if edges else []), "setpts=PTS-STARTPTS"]


def sized(rendition: Rendition) -> list[str]:
    """The filters that give the picture this size."""
    return [f"scale={rendition.width}:{rendition.height}", "setsar=1", "format=yuv420p"]


def coded(preset: str, rendition: Rendition, threads: int) -> list[str]:
    """How a picture of this size is coded; 0 threads: as many as ffmpeg likes."""
    bits = rendition.most_bits
    return [
        *("-fps_mode", "passthrough", "-enc_time_base", "demux", "-c:v", "libx264", "-preset", preset),
        *("-profile:v", "high", "-crf", "23", "-maxrate", str(bits), "-bufsize", str(2 * bits)),
        *("-force_key_frames", f"expr:gte(t,n_forced*{HLS_S})", "-threads", str(threads), "-f", "mp4"),
    ]


def _listed(given: Path, pieces: Sequence[Piece]) -> str:
    """What is to be joined, and how long each lasts: until the first frame of the next."""
    lines = ["ffconcat version 1.0"]
    for number, piece in enumerate(pieces):
        lines.append(f"file '{given / str(number)}.mp4'")
        if number + 1 < len(pieces):
            lines.append(f"duration {_seconds(pieces[number + 1].first_us - piece.first_us)}")
    return "\n".join(lines) + "\n"


def codecs_of(media: Path, sound: bool) -> str:
    """As RFC 6381 names them; profile and level stand in the file."""
    with plain(media) as file:
        found = re.search(rb"avcC\x01(...)", file.read(65_536), re.DOTALL)
    if found is None:
        raise Broken("What was joined has no picture.")
    return f"avc1.{found[1].hex()}" + (",mp4a.40.2" if sound else "")


def _by_time(heard: Heard) -> Callable[[str], None]:
    def hear(line: str) -> None:
        if line.startswith("out_time_us=") and line[12:].isdecimal():
            heard(int(line[12:]))

    return hear


def _limits(planned: Planned, piece: Piece) -> Limits:
    """So that whoever does honest work never feels them."""
    found, part = planned.found, piece.frames / max(planned.found.frames, 1)
    cost = 120 + 100 * found.duration_s * part * _size(found)
    return Limits(wall_s=4 * cost, cpu_s=cost, memory_bytes=_memory(found), file_bytes=16 * GIB)


def _size(found: Found) -> float:
    return max(found.width * found.height / HD, 0.25)


def _memory(found: Found) -> int:
    return 3 * GIB + 150 * found.width * found.height


def _thumbnail(found: Found) -> tuple[int, int]:
    return THUMBNAIL, min(_even(THUMBNAIL * found.height / found.width), 4 * THUMBNAIL)


def _even(length: float) -> int:
    return max(2 * round(length / 2), 2)


def _seconds(micro: int) -> str:
    return f"{micro / 1e6:.6f}"


def _plain(bounds: Bounds) -> Mapping[str, Any]:
    return {name: getattr(bounds, name) for name in bounds.__slots__}


def _looked(told: Mapping[str, Any]) -> Looked:
    duration = told["duration_us"] / 1e6
    found = Found(
        duration_s=duration,
        fps=round(told["frames"] / duration, 3) if duration else 0.0,
        **{name: told[name] for name in Found.__struct_fields__ if name not in ("duration_s", "fps")},
    )
    pieces = msgspec.convert(told["pieces"], tuple[Piece, ...])
    warnings = ("Its colours have a wide range, and are shown in the usual one.",) if told["wide_range"] else ()
    return Looked(found, pieces, told["cuttable"], warnings)
