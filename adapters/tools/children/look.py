"""Looks into a film: what is in it, where its frames are, and where it can be cut. It stands alone: run in the sandbox.

    python -I look.py '{"shortest_s": 6, …}' < film        prints what it found as JSON, or {"refused": "…"}

Frames are told by their packets, which are read once from end to end; nothing is decoded but the first frame. A piece
begins, if it can, at a frame that needs no other, and every cut lies half-way between two frames."""

import json
import sys
from array import array
from bisect import bisect_left
from fractions import Fraction
from itertools import pairwise
from typing import Any

MICRO = 1_000_000
ATTACHED = 0x400  # a cover among the streams of a song
MOST_TRIES = 300  # packets, until one has given a picture
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,avi"
KNOWN = "MP4, MOV, Matroska, WebM, MPEG-TS or AVI"
CUTTABLE = ("mov", "matroska")
SAFE = {"protocol_whitelist": "fd", "format_whitelist": CONTAINERS, "probesize": "20000000"}
CODECS = frozenset(
    (
        "h264",
        "hevc",
        "av1",
        "vp8",
        "vp9",
        "mpeg1video",
        "mpeg2video",
        "mpeg4",
        "h263",
        "mjpeg",
        "prores",
        "dnxhd",
        "theora",
        "dvvideo",
        "rawvideo",
        "ffv1",
    )
)


class Refused(Exception):
    """It is no film that can be taken; the message is a full sentence."""


def main(told: str) -> None:
    asked = json.loads(told)
    try:
        found = look(asked)
    except Refused as error:
        found = {"refused": str(error)}
    print(json.dumps(found))


def look(asked: Any) -> Any:
    import av

    av.logging.set_level(av.logging.PANIC)
    try:
        with av.open("fd:", options=SAFE, metadata_errors="replace") as film:
            return _looked(film, asked)
    except av.error.FFmpegError as error:
        raise Refused(f"It is no film in {KNOWN}, or it is broken: {error.strerror}.") from None


def _looked(film: Any, asked: Any) -> Any:
    if len(film.streams) > asked["most_streams"]:
        raise Refused(f"It has {len(film.streams)} streams; the most is {asked['most_streams']}.")
    picture = next((s for s in film.streams.video if not s.disposition & ATTACHED), None)
    if picture is None:
        raise Refused("It has no picture that moves.")
    sound = next(iter(film.streams.audio), None)
    codec = picture.codec_context.codec.canonical_name
    if codec not in CODECS:
        raise Refused(f"Its picture is coded as {codec}, which is not taken.")
    context = picture.codec_context
    _bounded(context.width, context.height, asked)
    frames, keys, last, first = _frames(film, picture, asked)
    if first is None:
        raise Refused("No frame of it can be decoded.")
    width, height, turned = _shown(picture, first)
    if not frames:
        raise Refused("There is no frame in it.")
    base, order = picture.time_base, sorted(frames)
    steps = [int((after - before) * base * MICRO) for before, after in pairwise(order)]
    usual = sorted(steps)[len(steps) // 2] if steps else last * base * MICRO or MICRO // 25
    duration_us = int((order[-1] - order[0]) * base * MICRO) + max(int(usual), 1)
    if duration_us > asked["longest_s"] * MICRO:
        raise Refused(f"It runs for {duration_us / MICRO:.0f} s; the most is {asked['longest_s']:.0f}.")
    if len(order) > asked["most_fps"] * max(duration_us / MICRO, 1):
        raise Refused(
            f"It has {len(order)} frames in {duration_us / MICRO:.1f} s; the most is {asked['most_fps']} a second."
        )
    target_us = max(int(asked["shortest_s"] * MICRO), duration_us // asked["most_pieces"])
    container = film.format.name.split(",")[0]
    return {
        "container": container,
        "cuttable": container in CUTTABLE,
        "duration_us": duration_us,
        "width": width,
        "height": height,
        "rotation": turned,
        "frames": len(order),
        "variable_rate": bool(steps) and max(steps) - min(steps) > max(usual // 50, 2_000),
        "video_codec": codec,
        "audio_codec": sound.codec_context.name if sound else None,
        "audio_channels": sound.channels if sound else 0,
        "wide_range": (picture.codec_context.pix_fmt or "").endswith(("10le", "12le")),
        "pieces": pieces(order, sorted(keys), base, target_us),
    }


def _bounded(width: int, height: int, asked: Any) -> None:
    if width * height > asked["most_pixels"]:
        raise Refused(f"Its picture has {width} x {height} pixels; the most is {asked['most_pixels']}.")


def _frames(film: Any, picture: Any, asked: Any) -> tuple[Any, Any, int, Any]:
    """The times of all frames, of those that need no other, how long the last one is shown, and the first picture."""
    import av

    frames, keys, last, first = array("q"), array("q"), 0, None
    for packet in film.demux(picture):
        if first is None and len(frames) < MOST_TRIES:
            first = _decoded(packet, av.error.FFmpegError)
            if first is not None:
                _bounded(first.width, first.height, asked)
        if packet.pts is None or packet.is_discard:
            continue
        frames.append(packet.pts)
        if packet.is_keyframe:
            keys.append(packet.pts)
        last = packet.duration or last
        if len(frames) > asked["most_frames"]:
            raise Refused(f"It has more than {asked['most_frames']} frames.")
    return frames, keys, last, first


def _decoded(packet: Any, error: type[Exception]) -> Any:
    try:
        return next(iter(packet.decode()), None)
    except error:  # broken packets may come before the first whole one
        return None


def _shown(picture: Any, frame: Any) -> tuple[int, int, int]:
    """Width and height in square pixels, turned as players do, and the turn in degrees, clockwise."""
    aspect = picture.sample_aspect_ratio or Fraction(1)
    width, height, turned = round(frame.width * aspect), frame.height, -int(frame.rotation or 0) % 360
    return (height, width, turned) if turned in (90, 270) else (width, height, turned)


def pieces(order: list[int], keys: list[int], base: Fraction, target_us: int) -> list[Any]:
    """As many as `target_us` goes into the film, nearly of one length, so that those who make them end together: cut at
    a frame that needs no other where one is near, else anywhere.

    `order` and `keys` are the times of frames in ticks of `base`, ascending."""
    count = max(round((order[-1] - order[0]) * base * MICRO / target_us), 1)
    length = (order[-1] - order[0]) / count
    edges = [0]
    for number in range(1, count):
        wanted = order[0] + round(number * length)
        near = _nearest(keys, wanted)
        at = bisect_left(order, near if near is not None and abs(near - wanted) <= length / 2 else wanted)
        if edges[-1] < at < len(order):
            edges.append(at)
    return [_piece(order, keys, base, begin, until) for begin, until in pairwise([*edges, len(order)])]


def _nearest(times: list[int], wanted: int) -> int | None:
    at = bisect_left(times, wanted)
    return min(times[max(at - 1, 0) : at + 1], key=lambda time: abs(time - wanted), default=None)


def _piece(order: list[int], keys: list[int], base: Fraction, begin: int, until: int) -> Any:
    def half(index: int) -> int:
        return int((order[index - 1] + order[index]) * base * MICRO / 2)

    before = bisect_left(keys, order[begin] + 1) - 1  # the last one that is not after the first frame
    return {
        "frames": until - begin,
        "first_us": int(order[begin] * base * MICRO),
        "from_us": half(begin) if begin else None,
        "until_us": half(until) if until < len(order) else None,
        "seek_us": int(keys[before] * base * MICRO) if begin and before >= 0 else None,
    }


if __name__ == "__main__":
    main(sys.argv[1])
