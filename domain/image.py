"""An image: a file that is made into smaller ones, for pages and lists.

    created ──▶ (one task makes all its sizes) ──▶ deleted ──▶ removed

Several that came in one request are a batch: one document tells of all of them."""

from collections.abc import Iterable
from datetime import datetime
from typing import assert_never
from uuid import UUID

from msgspec.structs import replace

from domain.file import File
from domain.kind import Backoff, Kind
from domain.record import Personal, Record
from domain.transcoding import QUEUE, Made

MOST_IN_BATCH = 1_000


class Created(Record, frozen=True):
    """A file has arrived that is to be shown."""

    source: File
    upload: UUID | None = None  # that it came by
    batch: UUID | None = None  # of which it is one
    filename: Personal[str | None] = None
    filetype: str | None = None


class Deleted(Record, frozen=True):
    """Nobody sees it any more; what runs is cancelled."""


class Removed(Record, frozen=True):
    """Nothing of it runs or is kept any more. `tasks` are all that ever worked for it."""

    tasks: tuple[UUID, ...]
    upload: UUID | None = None


class Gathered(Record, frozen=True):
    """Images that came in one request."""

    images: tuple[UUID, ...]
    tasks: tuple[UUID, ...]  # the first of each, in the same order
    size_bytes: int  # of all of them


Event = Created | Deleted | Removed


class Image(Record, frozen=True):
    """An image as its stream tells it; `version` 0 means that there is none."""

    version: int = 0
    created: Created | None = None
    created_at: datetime | None = None
    deleted_at: datetime | None = None
    removed_at: datetime | None = None


def evolve(image: Image, event: Event, at: datetime) -> Image:
    image = replace(image, version=image.version + 1)
    match event:
        case Created():
            return replace(image, created=event, created_at=at)
        case Deleted():
            return replace(image, deleted_at=at)
        case Removed():
            return replace(image, removed_at=at)
        case _:
            assert_never(event)


def fold(events: Iterable[tuple[Event, datetime]]) -> Image:
    image = Image()
    for event, at in events:
        image = evolve(image, event, at)
    return image


def create(image: Image, created: Created) -> list[Event]:
    return [created] if image.version == 0 else []


def delete(image: Image) -> list[Event]:
    return [Deleted()] if image.version > 0 and image.deleted_at is None else []


def remove(image: Image, tasks: Iterable[UUID]) -> list[Event]:
    if image.created is None or image.deleted_at is None or image.removed_at is not None:
        return []
    return [Removed(tasks=tuple(tasks), upload=image.created.upload)]


class Request(Record, frozen=True):
    image: UUID


class Variant(Record, frozen=True):
    """One size in one format: "160.webp"."""

    name: str
    media_type: str
    width: int
    height: int
    file: File


class Sizes(Made, frozen=True):
    """What was made of it. Width and height are those of the image as it is shown: turned as its metadata said."""

    format: str
    width: int
    height: int
    variants: tuple[Variant, ...]


KIND: Kind[Request, Sizes] = Kind(
    name="image_sizes",
    request=Request,
    result=Sizes,
    queue=QUEUE,
    deadline_s=600.0,
    backoff=Backoff(first_s=1.0, longest_s=60.0),
    internal=True,
)


def operation(sides: Iterable[int]) -> str:
    """Whatever changes the bytes that come out is in its name."""
    return f"image/1 {','.join(map(str, sides))}"
