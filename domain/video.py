"""A video: a file that becomes renditions to be played, piece by piece.

    created ──▶ planned ──▶ rendition_ready (one by one), stills_ready ──▶ completed
                               deleted, at any time ──▶ removed (nothing runs, nothing is held any more)

The plan is one fact: which renditions, and where the picture is cut into pieces. A task follows for each piece of each
rendition, one for the sound, one that joins the pieces of a rendition, and one for the stills. The end of each of these
tasks is the checkpoint: whoever begins again finds what is done. How far a video is, and whether it failed, its tasks
tell; its own stream tells what has become of it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import assert_never
from uuid import UUID

from msgspec.structs import replace

from domain.file import File
from domain.record import Personal, Record


class Found(Record, frozen=True):
    """What a probe found in the file. Width and height are as it is shown: turned, and in square pixels."""

    container: str
    duration_s: float
    width: int
    height: int
    frames: int
    fps: float  # on average
    variable_rate: bool
    rotation: int  # in degrees, clockwise, that players turn it by
    video_codec: str
    audio_codec: str | None = None  # None: it is silent
    audio_channels: int = 0


class Piece(Record, frozen=True):
    """Some frames in a row. Times are those of the file, in microseconds; cuts lie half-way between two frames."""

    frames: int
    first_us: int  # the time of the first frame
    from_us: int | None = None  # None: it is the first piece
    until_us: int | None = None  # None: it is the last one
    seek_us: int | None = None  # a frame from which on all of it can be decoded; None: the beginning of the file


class Rendition(Record, frozen=True):
    """The picture in one size; `most_bits` a second."""

    name: str  # "720p"
    width: int
    height: int
    most_bits: int


class Playable(Record, frozen=True):
    """What can be played of a rendition. The playlist names parts of `media`, an MP4 of fragments."""

    rendition: str
    media: File
    playlist: File
    codecs: str  # RFC 6381
    bits: int  # a second, at most
    mp4: File | None = None  # to be played while it loads: of the best rendition only


class Stills(Record, frozen=True):
    """Single pictures: a poster, and a sheet of thumbnails, `columns` in a row, one for every `every_s` seconds."""

    poster: File
    sheet: File
    columns: int
    count: int
    every_s: float
    width: int  # of one thumbnail
    height: int


class Given(Record, frozen=True):
    """What is known of a file that has arrived."""

    source: File
    upload: UUID | None = None
    filename: str | None = None
    filetype: str | None = None


class Created(Record, frozen=True):
    """A file has arrived that is to be played."""

    source: File
    upload: UUID | None = None  # that it came by
    filename: Personal[str | None] = None
    filetype: str | None = None


class Planned(Record, frozen=True):
    """What is to be made of it. `reused` was made before, of another video with the same bytes."""

    found: Found
    pieces: tuple[Piece, ...]
    renditions: tuple[Rendition, ...]  # from the smallest to the best
    work: File  # what the pieces are cut out of: the source itself, or its streams in a container that can be cut
    preset: str  # of the encoder
    reused: tuple[Playable, ...] = ()
    reused_stills: Stills | None = None
    warnings: tuple[str, ...] = ()


class RenditionReady(Record, frozen=True):
    """It can be played in this size. `pieces` are the tasks whose files it was joined of: these may go."""

    playable: Playable
    pieces: tuple[UUID, ...] = ()


class StillsReady(Record, frozen=True):
    """It can be shown before it is played."""

    stills: Stills


class Completed(Record, frozen=True):
    """All that was planned is there."""


class Deleted(Record, frozen=True):
    """Nobody sees it any more; what runs is cancelled."""


class Removed(Record, frozen=True):
    """Nothing of it runs or is kept any more. `tasks` are all that ever worked for it."""

    tasks: tuple[UUID, ...]
    upload: UUID | None = None


Event = Created | Planned | RenditionReady | StillsReady | Completed | Deleted | Removed


class Video(Record, frozen=True):
    """A video as its stream tells it; `version` 0 means that there is none."""

    version: int = 0
    created: Created | None = None
    planned: Planned | None = None
    playables: tuple[Playable, ...] = ()
    stills: Stills | None = None
    created_at: datetime | None = None
    completed_at: datetime | None = None
    deleted_at: datetime | None = None
    removed_at: datetime | None = None

    @property
    def works(self) -> bool:
        """Whether anything is still to be made of it."""
        return self.created is not None and self.completed_at is None and self.deleted_at is None


def evolve(video: Video, event: Event, at: datetime) -> Video:
    video = replace(video, version=video.version + 1)
    match event:
        case Created():
            return replace(video, created=event, created_at=at)
        case Planned(reused=reused, reused_stills=stills):
            return replace(video, planned=event, playables=reused, stills=stills)
        case RenditionReady(playable=playable):
            return replace(video, playables=(*video.playables, playable))
        case StillsReady(stills=stills):
            return replace(video, stills=stills)
        case Completed():
            return replace(video, completed_at=at)
        case Deleted():
            return replace(video, deleted_at=at)
        case Removed():
            return replace(video, removed_at=at)
        case _:
            assert_never(event)


def fold(events: Iterable[tuple[Event, datetime]]) -> Video:
    video = Video()
    for event, at in events:
        video = evolve(video, event, at)
    return video


def create(video: Video, given: Given) -> list[Event]:
    if video.version > 0:
        return []
    return [
        Created(source=given.source, upload=given.upload, filename=given.filename, filetype=given.filetype),
    ]


def plan(video: Video, planned: Planned) -> list[Event]:
    """The first plan counts."""
    if not video.works or video.planned is not None:
        return []
    return _with_end(video, planned)


def ready(video: Video, playable: Playable, pieces: Sequence[UUID]) -> list[Event]:
    if not video.works or video.planned is None or playable.rendition in _names(video.playables):
        return []
    return _with_end(video, RenditionReady(playable=playable, pieces=tuple(pieces)))


def show(video: Video, stills: Stills) -> list[Event]:
    if not video.works or video.planned is None or video.stills is not None:
        return []
    return _with_end(video, StillsReady(stills=stills))


def delete(video: Video) -> list[Event]:
    return [Deleted()] if video.version > 0 and video.deleted_at is None else []


def remove(video: Video, tasks: Sequence[UUID]) -> list[Event]:
    if video.created is None or video.deleted_at is None or video.removed_at is not None:
        return []
    return [Removed(tasks=tuple(tasks), upload=video.created.upload)]


def _with_end(video: Video, event: Planned | RenditionReady | StillsReady) -> list[Event]:
    """The event, and that all is there now, where it is."""
    planned = event if isinstance(event, Planned) else video.planned
    assert planned is not None, "What is ready was planned."
    playables, stills = _names(video.playables), video.stills
    match event:
        case Planned(reused=reused, reused_stills=reused_stills):
            playables, stills = _names(reused), reused_stills
        case RenditionReady(playable=playable):
            playables |= {playable.rendition}
        case StillsReady(stills=shown):
            stills = shown
    whole = stills is not None and all(one.name in playables for one in planned.renditions)
    return [event, Completed()] if whole else [event]


def _names(playables: Iterable[Playable]) -> set[str]:
    return {one.rendition for one in playables}


def files_of(playable: Playable) -> tuple[File, ...]:
    return (playable.media, playable.playlist, *([playable.mp4] if playable.mp4 else []))


def still_to_make(planned: Planned) -> tuple[Rendition, ...]:
    """The renditions for which there is work."""
    reused = _names(planned.reused)
    return tuple(one for one in planned.renditions if one.name not in reused)


LADDER = {  # the shorter side in pixels, and the most bits a second
    240: 400_000,
    360: 800_000,
    480: 1_400_000,
    720: 2_800_000,
    1080: 5_000_000,
    1440: 9_000_000,
    2160: 16_000_000,
}


def renditions(found: Found, sides: Sequence[int]) -> tuple[Rendition, ...]:
    """The sizes of these shorter sides that do not blow the picture up; a smaller picture keeps its size."""
    shorter = min(found.width, found.height)
    wanted = sorted(side for side in sides if side <= shorter) or [shorter]
    made = []
    for side in wanted:
        width, height = (_even(length * side / shorter) for length in (found.width, found.height))
        most = next((bits for step, bits in LADDER.items() if step >= side), LADDER[2160])
        made.append(Rendition(name=f"{side}p", width=width, height=height, most_bits=most))
    return tuple(made)


def _even(length: float) -> int:
    return max(2 * round(length / 2), 2)
