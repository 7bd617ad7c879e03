"""Images: sent one by one or a thousand at once, made smaller, shown, deleted."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Response, delete, post
from litestar.params import FromPath

from adapters.http import examples
from adapters.http.admission import admitted, intake
from adapters.http.auth import needs
from adapters.http.described import BYTES, Body, Reply, described
from adapters.http.desk import Call, desk
from adapters.http.files import content, served
from adapters.http.gathering import FORM, Sent, gathered
from adapters.http.keeping import take_whole
from adapters.http.made import Made, removal
from adapters.http.methods import get
from adapters.http.origin import header, meta
from adapters.http.page import Limit, Text, limited, page
from adapters.http.problems import Problem, invalid
from adapters.http.shown import ENCODER, id_of, ok
from adapters.http.things import read, streams, written
from adapters.http.working import of_each, tasks_of
from adapters.http.write import claim, write
from domain import compose, image, lineage, making, upload
from domain.access import Right
from domain.image import Image, Sizes
from domain.log import Answer, Entry, Fact
from domain.making import State
from domain.outcome import Error
from domain.task import Status, Task
from domain.upload import Given, Purpose

IMAGES = Made("image", image.Event, image.fold, image.delete)
AT_ONCE = 50  # images of a batch that are composed before others have their turn
SAME = ("name", "media_type", "width", "height")


class VariantShown(msgspec.Struct):
    """One size in one format."""

    name: str
    media_type: str
    width: int
    height: int
    size_bytes: int
    href: str


class ImageShown(msgspec.Struct, kw_only=True):
    """Width and height are those of the image as it is shown; they are known once it is complete."""

    id: UUID
    status: State
    error: Error | None
    sha256: str
    size_bytes: int
    filename: str | None
    filetype: str | None
    width: int | None
    height: int | None
    variants: list[VariantShown]
    batch: UUID | None
    tasks: list[UUID]
    created_at: datetime
    links: dict[str, str]


class ImageWritten(ImageShown, kw_only=True):
    """An image together with what was written for it."""

    events: list[UUID]


class ImagePage(msgspec.Struct):
    items: list[ImageShown]
    next: str | None


class OneOfBatch(msgspec.Struct):
    image: UUID
    status: State
    error: Error | None


class BatchShown(msgspec.Struct, kw_only=True):
    """All images of one request: how many of them are how far, and each of them."""

    id: UUID
    status: State
    total: int
    complete: int
    failed: int
    cancelled: int
    open: int
    images: list[OneOfBatch]
    created_at: datetime
    links: dict[str, str]


HERE = f"/v1/images/{examples.IMAGE_ID}"
BATCH = f"/v1/images/batches/{examples.BATCH_ID}"
SHOWN = {
    "id": examples.IMAGE_ID,
    "status": "queued",
    "error": None,
    "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "size_bytes": 50_000,
    "filename": "cat.jpg",
    "filetype": "image/jpeg",
    "width": None,
    "height": None,
    "variants": [],
    "batch": None,
    "tasks": [examples.TASK_ID],
    "created_at": examples.AT,
    "links": {"self": HERE},
}
GROUP = {
    "id": examples.BATCH_ID,
    "status": "queued",
    **{"total": 1, "complete": 0, "failed": 0, "cancelled": 0, "open": 1},
    "images": [{"image": examples.IMAGE_ID, "status": "queued", "error": None}],
    "created_at": examples.AT,
    "links": {"self": BATCH},
}
REFUSED = ["length-required", "no-room", "over-quota", "store-away", "too-slow"]
CREATE = described(
    "create_image",
    "Images",
    {
        202: Reply(
            ImageWritten,
            SHOWN | {"events": [examples.EVENT_ID]},
            ["Location", "Retry-After"],
            links=dict.fromkeys(("see_image", "delete_image"), "$response.body#/id"),
        )
    },
    Body(str, {"image": "the bytes of an image"}, media_type=BYTES),
    takes=["Content-Length!"],
    problems=REFUSED,
)
CREATE_BATCH = described(
    "create_images",
    "Images",
    {202: Reply(BatchShown, GROUP, ["Location", "Retry-After"], links={"see_batch": "$response.body#/id"})},
    Body(str, {"form": "a form of files"}, media_type=FORM),
    takes=["Content-Length!"],
    problems=REFUSED,
)
LIST = described(
    "list_images", "Images", {200: Reply(ImagePage, {"items": [SHOWN], "next": examples.CURSOR}, may=["Link"])}
)
SEE = described("see_image", "Images", {200: Reply(ImageShown, SHOWN)}, problems=["gone"])
SEE_BATCH = described("see_batch", "Images", {200: Reply(BatchShown, GROUP)})
DELETE = removal("delete_image", "Images", examples.IMAGE_ID)
FILE = served("see_image_file", "Images", [])


@post("/v1/images", opt=needs(Right.WRITE) | CREATE, request_max_body_size=None)
async def create_image(request: Call, filename: Text = None) -> Response[bytes]:
    """Send an image: its bytes are the body."""
    service, filetype = desk(request).service, (header(request.scope, b"content-type") or "").partition(";")[0]
    async with admitted(request) as length:
        given = Given(size_bytes=length, purpose=Purpose.IMAGE, filename=filename, filetype=filetype or None)
        sent, facts, file = await take_whole(request, given)
        id, claimed = upload.image_of(sent), claim(request, {"sha256": file.sha256, "filename": filename})
        entry = compose.entry(facts, dict(service.kinds), service.now(), service.new_id)
        found = image.fold((fact.event, fact.at) for fact in facts if isinstance(fact.event, image.Event))
        told = _shown(id, found, dict(entry.tasks)) | {"events": written(entry)["events"]}
        return await write(service, entry, Answer(202, ENCODER.encode(told), f"/v1/images/{id}"), claimed)


@post("/v1/images/batch", opt=needs(Right.WRITE) | CREATE_BATCH, request_max_body_size=None)
async def create_images(request: Call) -> Response[bytes]:
    """Send up to 1,000 images at once, as the files of a form. All of them are taken, or none; one document then tells
    how far they are, and of those that fail, why."""
    async with admitted(request) as length:
        return await _batch(request, await gathered(request, length))


@get("/v1/images", opt=needs(Right.READ_ACCOUNTS) | LIST)
async def list_images(request: Call, after: Text = None, limit: Limit = 50) -> Response[bytes]:
    """Images, newest first, without those that were deleted. A client sees its own."""
    found, following = await streams(request, "image.created", after, limited(limit))
    pairs = [(recorded, one) for recorded in found if (one := IMAGES.folded(recorded)).deleted_at is None]
    tasks = await tasks_of(request, [recorded for recorded, _ in pairs])
    return page(
        [_shown(IMAGES.id(recorded), one, of_each(recorded, tasks)) for recorded, one in pairs], following, request
    )


@get("/v1/images/{id:str}", opt=needs(Right.READ_ACCOUNTS) | SEE)
async def see_image(request: Call, id: FromPath[str]) -> Response[bytes]:
    """An image: whether its sizes are made, and where they are."""
    known = id_of(id)
    recorded = await IMAGES.present(request, known)
    return ok(_shown(known, IMAGES.folded(recorded), await tasks_of(request, [recorded])))


@get("/v1/images/batches/{id:str}", opt=needs(Right.READ_ACCOUNTS) | SEE_BATCH)
async def see_batch(request: Call, id: FromPath[str]) -> Response[bytes]:
    """All images that came in one request."""
    known = id_of(id)
    [first, *_] = await read(request, "batch", known)
    assert isinstance(first.fact.event, image.Gathered), "A batch begins so."
    tasks = await tasks_of(request, [], first.fact.event.tasks)
    return ok(_group(known, first.fact.event, first.fact.at, tasks))


@get("/v1/images/{id:str}/files/{name:str}", opt=needs(Right.READ_ACCOUNTS) | FILE)
async def see_image_file(request: Call, id: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    """One of its sizes, such as `640.webp`."""
    known = id_of(id)
    made = _made(await tasks_of(request, [await IMAGES.present(request, known)]))
    variant = next((one for one in made.variants if one.name == name), None) if made is not None else None
    if variant is None:
        raise Problem("not-found", f"The image {known} has no file {name[:64]!r}, or not yet.")
    return await content(request, intake(request).files, variant.file, variant.media_type, name, inline=True)


@delete("/v1/images/{id:str}", opt=needs(Right.WRITE) | DELETE, status_code=200)
async def delete_image(request: Call, id: FromPath[str]) -> Response[bytes]:
    """Delete an image: its files are removed after a while."""
    return await IMAGES.delete(request, id_of(id))


async def _batch(request: Call, sent: Sequence[Sent]) -> Response[bytes]:
    service, now, by = desk(request).service, desk(request).service.now(), _by(request)
    if not sent:
        raise invalid([{"pointer": "", "detail": "The form holds no file."}])
    batch, ids = service.new_id(), [service.new_id() for _ in sent]
    kinds, entries = dict(service.kinds), list[Entry]()
    for begin in range(0, len(sent), AT_ONCE):
        facts: list[Fact] = []
        for id, one in zip(ids[begin : begin + AT_ONCE], sent[begin : begin + AT_ONCE], strict=True):
            created = image.Created(source=one.file, batch=batch, filename=one.filename, filetype=one.filetype)
            facts += compose.of_thing(id, 0, image.create(Image(), created), by, now, service.new_id)
        entries.append(compose.entry(facts, kinds, now, service.new_id))
        await asyncio.sleep(0)  # nobody waits for a thousand of them
    tasks = tuple(id for entry in entries for id, _ in entry.tasks)
    size_bytes = sum(one.file.size_bytes for one in sent)
    gathering = image.Gathered(images=tuple(ids), tasks=tasks, size_bytes=size_bytes)
    last = compose.of_thing(batch, 0, [gathering], by, now, service.new_id)
    entry = compose.joined([*entries, compose.entry(last, kinds, now, service.new_id)])
    claimed = claim(request, [[one.file.sha256, one.filename] for one in sent])
    told = _group(batch, gathering, now, dict(entry.tasks))
    where = f"/v1/images/batches/{batch}"
    return await write(service, entry, Answer(202, ENCODER.encode(told), where), claimed)


def _by(request: Call) -> Any:
    return meta(request, desk(request).service)


def _made(tasks: Mapping[UUID, Task]) -> Sizes | None:
    done = next((one for one in tasks.values() if one.status is Status.COMPLETE), None)
    return msgspec.convert(done.result, Sizes) if done is not None else None


def _shown(id: UUID, found: Image, tasks: Mapping[UUID, Task]) -> dict[str, Any]:
    created, made = found.created, _made(tasks)
    assert created is not None, "What exists was created."
    status, error = making.of_all(tasks)
    here = f"/v1/images/{id}"
    return {
        "id": id,
        "status": status,
        "error": error,
        "sha256": created.source.sha256,
        "size_bytes": created.source.size_bytes,
        "filename": created.filename,
        "filetype": created.filetype,
        "width": made.width if made is not None else None,
        "height": made.height if made is not None else None,
        "variants": [
            VariantShown(
                one.name, one.media_type, one.width, one.height, one.file.size_bytes, f"{here}/files/{one.name}"
            )
            for one in (made.variants if made is not None else ())
        ],
        "batch": created.batch,
        "tasks": list(tasks),
        "created_at": found.created_at,
        "links": {"self": here} | ({"batch": f"/v1/images/batches/{created.batch}"} if created.batch else {}),
    }


def _group(id: UUID, gathering: image.Gathered, at: datetime, tasks: Mapping[UUID, Task]) -> dict[str, Any]:
    each = []
    for one, first in zip(gathering.images, gathering.tasks, strict=True):
        status, error = making.of_all(lineage.lives(first, tasks))
        each.append(OneOfBatch(one, status, error))
    count = {state: sum(one.status is state for one in each) for state in State}
    ended = {state.value: count[state] for state in (State.COMPLETE, State.FAILED, State.CANCELLED)}
    return {
        "id": id,
        "status": making.of_all(tasks)[0],
        "total": len(each),
        **ended,
        "open": len(each) - sum(ended.values()),
        "images": each,
        "created_at": at,
        "links": {"self": f"/v1/images/batches/{id}"},
    }
