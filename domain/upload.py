"""An upload: announced with its length, sent piece by piece over as many connections as it takes, and then a file."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, assert_never
from uuid import UUID

import msgspec
from msgspec.structs import replace

from domain.file import File, Sha256
from domain.item import LINE
from domain.record import Personal, Record, derived_id

Filename = Annotated[
    str, msgspec.Meta(pattern=LINE, max_length=255, description="1 to 255 characters, not only spaces, on one line")
]
MediaType = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9!#$&^_.+-]{1,63}/[A-Za-z0-9!#$&^_.+-]{1,63}[ -~]{0,100}(?!\n)$",
        description="a media type such as video/mp4",
    ),
]


class Purpose(StrEnum):
    """What follows when it has arrived."""

    FILE = "file"  # it is kept, and can be downloaded
    VIDEO = "video"  # it is made into what can be played
    IMAGE = "image"  # it is made smaller, for pages and lists


def video_of(upload: UUID) -> UUID:
    """The video that an upload becomes."""
    return derived_id(upload, "video")


def image_of(upload: UUID) -> UUID:
    """The image that an upload becomes."""
    return derived_id(upload, "image")


class Status(StrEnum):
    OPEN = "open"
    FINISHED = "finished"
    REJECTED = "rejected"
    EXPIRED = "expired"
    TERMINATED = "terminated"


class Given(Record, frozen=True):
    """What a caller says of what is to come."""

    size_bytes: int
    purpose: Purpose = Purpose.FILE
    filename: Filename | None = None
    filetype: MediaType | None = None
    sha256: Sha256 | None = None  # of the whole


class Begun(Record, frozen=True):
    """Bytes may come."""

    size_bytes: int
    purpose: str
    filename: Personal[str | None] = None
    filetype: str | None = None
    sha256: str | None = None  # as the caller declared it


class Finished(Record, frozen=True):
    """All bytes have come, and are a file."""

    file: File


class Rejected(Record, frozen=True):
    """All bytes have come, and they are not what was announced."""

    found: File


class Expired(Record, frozen=True):
    """No bytes came for too long."""


class Terminated(Record, frozen=True):
    """Its maker does not want it any more: neither the upload, nor the file that it has become."""


Event = Begun | Finished | Rejected | Expired | Terminated


class Upload(Record, frozen=True):
    """An upload as its stream tells it; `version` 0 means that there is none."""

    version: int = 0
    status: Status = Status.OPEN
    begun: Begun | None = None
    file: File | None = None  # also of a rejected one
    begun_at: datetime | None = None
    ended_at: datetime | None = None


def evolve(upload: Upload, event: Event, at: datetime) -> Upload:
    upload = replace(upload, version=upload.version + 1)
    match event:
        case Begun():
            return replace(upload, begun=event, begun_at=at)
        case Finished(file=file):
            return replace(upload, status=Status.FINISHED, file=file, ended_at=at)
        case Rejected(found=file):
            return replace(upload, status=Status.REJECTED, file=file, ended_at=at)
        case Expired():
            return replace(upload, status=Status.EXPIRED, ended_at=at)
        case Terminated():
            return replace(upload, status=Status.TERMINATED, ended_at=at)
        case _:
            assert_never(event)


def fold(events: Iterable[tuple[Event, datetime]]) -> Upload:
    upload = Upload()
    for event, at in events:
        upload = evolve(upload, event, at)
    return upload


def begin(upload: Upload, given: Given) -> list[Event]:
    if upload.version > 0:
        return []
    return [Begun(**msgspec.structs.asdict(given) | {"purpose": given.purpose.value})]


def finish(upload: Upload, found: File) -> list[Event]:
    """What arrived was all of it: it becomes a file, if it is what was announced."""
    if upload.begun is None or upload.status is not Status.OPEN:
        return []
    assert found.size_bytes == upload.begun.size_bytes, "Nobody sums up what is not complete."
    announced = upload.begun.sha256
    return [Finished(file=found) if announced in (None, found.sha256) else Rejected(found=found)]


def expire(upload: Upload, touched_at: datetime, now: datetime, patience: timedelta) -> list[Event]:
    """Each byte that comes gives it the whole time again."""
    if upload.begun is None or upload.status is not Status.OPEN or now < touched_at + patience:
        return []
    return [Expired()]


def terminate(upload: Upload) -> list[Event]:
    """A file that it has become is not held by it any more."""
    if upload.begun is None or upload.status not in (Status.OPEN, Status.FINISHED):
        return []
    return [Terminated()]
