"""What players ask for: the names of a video's files, and the texts that lead to them (HLS: RFC 8216, WebVTT)."""

from domain.file import File
from domain.video import Playable, Stills, Video

MEDIA = "media.mp4"  # as the playlist was written


class Names:
    """The files of a video, by the names under which they are asked for."""

    MASTER = "master.m3u8"
    MP4 = "video.mp4"
    POSTER = "poster.jpg"
    SHEET = "storyboard.jpg"
    THUMBNAILS = "storyboard.vtt"
    PLAYLIST_TYPE = "application/vnd.apple.mpegurl"

    def __init__(self, video: Video) -> None:
        self._playables = {one.rendition: one for one in video.playables}
        self._files = {f"{name}.mp4": (one.media, "video/mp4") for name, one in self._playables.items()}
        for whole in (one.mp4 for one in video.playables if one.mp4 is not None):
            self._files[self.MP4] = whole, "video/mp4"
        if video.stills is not None:
            self._files |= {self.POSTER: (video.stills.poster, "image/jpeg")}
            self._files |= {self.SHEET: (video.stills.sheet, "image/jpeg")}

    def playlist(self, name: str) -> Playable | None:
        """The rendition whose playlist has this name."""
        return self._playables.get(name.removesuffix(".m3u8")) if name.endswith(".m3u8") else None

    def file(self, name: str) -> tuple[File, str] | None:
        """The file of this name, and its media type."""
        return self._files.get(name)


def variants_of(video: Video) -> str:
    """The master playlist: the renditions that are ready, the best one first."""
    assert video.planned is not None, "What can be played was planned."
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    ready = {one.rendition: one for one in video.playables}
    for size in reversed([size for size in video.planned.renditions if size.name in ready]):
        one = ready[size.name]
        shape = f'BANDWIDTH={one.bits},CODECS="{one.codecs}",RESOLUTION={size.width}x{size.height}'
        lines += [f"#EXT-X-STREAM-INF:{shape}", f"{one.rendition}.m3u8"]
    return "\n".join(lines) + "\n"


def playlist_of(playable: Playable, text: str) -> str:
    """The playlist with the name under which its media is asked for."""
    return text.replace(MEDIA, f"{playable.rendition}.mp4")


def thumbnails_of(stills: Stills, video: Video) -> str:
    """Which part of the sheet shows which moment."""
    assert video.planned is not None, "What has stills was planned."
    whole, lines = video.planned.found.duration_s, ["WEBVTT"]
    for number in range(stills.count):
        row, column = divmod(number, stills.columns)
        begin, end = number * stills.every_s, min((number + 1) * stills.every_s, whole)
        part = f"{column * stills.width},{row * stills.height},{stills.width},{stills.height}"
        lines += ["", f"{_clock(begin)} --> {_clock(max(end, begin))}", f"{Names.SHEET}#xywh={part}"]
    return "\n".join(lines) + "\n"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes) // 60:02}:{int(minutes) % 60:02}:{rest:06.3f}"
