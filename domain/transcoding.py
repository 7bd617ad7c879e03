"""The kinds of work that make a video: probe, segment, sound, package, and stills."""

from uuid import UUID

from domain.file import File
from domain.kind import AnyKind, Backoff, Kind, Request, Result
from domain.record import Record
from domain.video import Piece, Planned, Playable, Rendition, Stills

QUEUE = "media"
LONGEST_S = 86_400.0  # of one attempt; each child process has a limit of its own
BACKOFF = Backoff(first_s=1.0, longest_s=60.0)


class OfVideo(Record, frozen=True):
    video: UUID


class OfPiece(Record, frozen=True):
    """`piece` counts from 0."""

    video: UUID
    rendition: str
    piece: int


class OfRendition(Record, frozen=True):
    video: UUID
    rendition: str


class Plan(Record, frozen=True):
    """How many pieces and renditions are to be made."""

    pieces: int
    renditions: tuple[str, ...]


class Made(Record, frozen=True):
    """Files that were made of a source. Who makes the same of the same bytes again finds them."""

    source: str  # its SHA-256
    operation: str
    files: tuple[File, ...]


class Segment(Made, frozen=True):
    frames: int


class Sound(Made, frozen=True):
    pass


class Package(Made, frozen=True):
    playable: Playable


class Shown(Made, frozen=True):
    stills: Stills


def _heavy(name: str, request: type[Request], result: type[Result]) -> Kind[Request, Result]:
    return Kind(
        name=name, request=request, result=result, queue=QUEUE, deadline_s=LONGEST_S, backoff=BACKOFF, internal=True
    )


PROBE = _heavy("video_probe", OfVideo, Plan)
SEGMENT = _heavy("video_segment", OfPiece, Segment)
SOUND = _heavy("video_sound", OfVideo, Sound)
PACKAGE = _heavy("video_package", OfRendition, Package)
STILLS = _heavy("video_stills", OfVideo, Shown)
KINDS: tuple[AnyKind, ...] = (PROBE, SEGMENT, SOUND, PACKAGE, STILLS)


# Operations: whatever changes the bytes that come out is in the name, and their version when the recipe changes.


def segment_of(planned: Planned, rendition: Rendition, piece: Piece) -> str:
    return f"segment/1 {_picture(planned, rendition)} {piece.from_us}-{piece.until_us}"


def sound_of() -> str:
    return "sound/1"


def package_of(planned: Planned, rendition: Rendition) -> str:
    best = " mp4" if rendition == planned.renditions[-1] else ""
    return f"package/1 {_picture(planned, rendition)}{best}"


def stills_of() -> str:
    return "stills/1"


def _picture(planned: Planned, rendition: Rendition) -> str:
    return f"{rendition.width}x{rendition.height} {rendition.most_bits} {planned.preset}"
