"""Films for the tests, made by ffmpeg, and what is in a film that was made of one."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
PICTURE = "testsrc2=size={size}:rate={rate}"
SOUND = "sine=frequency=440:sample_rate=48000"


def ffmpeg(*argv: str) -> None:
    done = subprocess.run([FFMPEG, "-nostdin", "-v", "error", "-y", *argv], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def film(
    path: Path,
    seconds: float = 6.0,
    size: str = "320x180",
    rate: str = "30000/1001",
    sound: bool = True,
    coded: Sequence[str] = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "60"),
) -> Path:
    """Colours that move, and a tone."""
    inputs = ["-f", "lavfi", "-i", PICTURE.format(size=size, rate=rate)]
    inputs += ["-f", "lavfi", "-i", SOUND] if sound else []
    ffmpeg(*inputs, "-t", str(seconds), *coded, *(("-c:a", "aac") if sound else ()), str(path))
    return path


@dataclass(frozen=True)
class Seen:
    """What is in a film: the times of its frames in seconds, in the order in which they are shown."""

    width: int
    height: int
    frames: tuple[float, ...]
    sound_s: float | None

    @property
    def duration_s(self) -> float:
        return self.frames[-1] - self.frames[0] + (self.frames[1] - self.frames[0])


def seen(path: Path) -> Seen:
    """Every frame is decoded."""
    with av.open(str(path)) as container:
        picture = container.streams.video[0]
        base = picture.time_base or Fraction(1)
        frames = tuple(float(frame.pts * base) for frame in container.decode(picture) if frame.pts is not None)
        width, height = picture.codec_context.width, picture.codec_context.height
    with av.open(str(path)) as container:
        sounds = container.streams.audio
        heard = sum(frame.samples for frame in container.decode(sounds[0])) / sounds[0].rate if sounds else None
    return Seen(width, height, tuple(sorted(frames)), heard)


def likeness(path: Path, other: Path) -> float:
    """The least likeness of two frames that are shown at the same place: 1.0 for the same picture (SSIM)."""
    alike = "scale=320:180,settb=1/25,setpts=N"
    compared = f"[0:v]{alike}[a];[1:v]{alike}[b];[a][b]ssim=stats_file=-"
    argv = [FFMPEG, "-nostdin", "-v", "error", "-i", str(path), "-i", str(other), "-lavfi", compared, "-f", "null", "-"]
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    return min(float(one) for one in re.findall(r"All:([0-9.]+)", told))


def silences_s(path: Path, floor: float = 0.01) -> float:
    """The longest time without any sound, after the first and before the last tone."""
    argv = [FFMPEG, "-nostdin", "-v", "error", "-i", str(path), "-f", "s16le", "-ac", "1", "-ar", "8000", "-"]
    raw = subprocess.run(argv, capture_output=True, check=True).stdout
    loud = [
        abs(int.from_bytes(raw[at : at + 2], "little", signed=True)) > floor * 32_768 for at in range(0, len(raw), 2)
    ]
    assert any(loud), "There is no sound at all."
    first, last = loud.index(True), len(loud) - 1 - loud[::-1].index(True)
    longest = run = 0
    for one in loud[first:last]:
        run = 0 if one else run + 1
        longest = max(longest, run)
    return longest / 8_000
