"""Items of the catalogue: made, read, changed, deleted."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Response, delete, patch, post
from litestar.params import FromPath

from adapters.http import examples
from adapters.http.auth import needs
from adapters.http.body import json_of
from adapters.http.described import Body, Reply, described
from adapters.http.desk import Call, desk
from adapters.http.methods import get
from adapters.http.origin import meta
from adapters.http.page import Limit, Text, limited, page
from adapters.http.problems import Problem, invalid
from adapters.http.shape import flaws
from adapters.http.shown import ENCODER, etag, id_of, ok
from adapters.http.things import read, require_version, shown, streams, written
from adapters.http.write import claim, decide, write
from domain import compose, item
from domain.access import Right
from domain.item import Item
from domain.log import Answer, Entry, Recorded


class ItemShown(msgspec.Struct, kw_only=True):
    id: UUID
    name: str
    description: str
    price_cents: int
    currency: str
    created_at: datetime
    changed_at: datetime
    deleted_at: datetime | None
    links: dict[str, str]


class ItemWritten(ItemShown, kw_only=True):
    """An item together with what was written for it."""

    tasks: list[UUID]
    events: list[UUID]


class ItemPage(msgspec.Struct):
    items: list[ItemShown]
    next: str | None


LAMP = {"name": "Lamp", "price_cents": 4_900, "currency": "EUR", "description": "Brass."}
HERE = {"links": {"self": f"/v1/items/{examples.ITEM_ID}"}}
TIMES = {"created_at": examples.AT, "changed_at": examples.AT, "deleted_at": None}
SHOWN = {"id": examples.ITEM_ID} | LAMP | TIMES | HERE
WRITTEN = SHOWN | {"tasks": [], "events": [examples.EVENT_ID]}
FOLLOW = dict.fromkeys(("see_item", "change_item", "delete_item"), "$response.body#/id")
CREATE = described(
    "create_item",
    "Items",
    {201: Reply(ItemWritten, WRITTEN, ["Location"], links=FOLLOW)},
    Body(item.Given, {"lamp": LAMP}),
)
LIST = described(
    "list_items", "Items", {200: Reply(ItemPage, {"items": [SHOWN], "next": examples.CURSOR}, may=["Link"])}
)
SEE = described(
    "see_item", "Items", {200: Reply(ItemShown, SHOWN, ["ETag"])}, takes=["If-None-Match"], problems=["gone"]
)
CHANGE = described(
    "change_item",
    "Items",
    {200: Reply(ItemWritten, WRITTEN, ["ETag"])},
    Body(item.Patch, {"price": {"price_cents": 5_200}}),
    takes=["If-Match!"],
    problems=["gone", "precondition-required", "conflict"],
)
DELETE = described(
    "delete_item",
    "Items",
    {200: Reply(ItemWritten, WRITTEN | {"deleted_at": examples.AT}, ["ETag"])},
    takes=["If-Match"],
    problems=["gone", "conflict"],
)


@post("/v1/items", opt=needs(Right.WRITE) | CREATE)
async def create_item(request: Call) -> Response[bytes]:
    """Make an item."""
    service, body = desk(request).service, await json_of(request)
    if found := flaws(body, item.Given):
        raise invalid(found)
    id, now = service.new_id(), service.now()
    events = item.create(Item(), msgspec.convert(body, item.Given))
    entry = Entry(compose.of_thing(id, 0, events, meta(request, service), now, service.new_id))
    body_of = _shown(id, item.fold((event, now) for event in events)) | written(entry)
    return await write(service, entry, Answer(201, ENCODER.encode(body_of), f"/v1/items/{id}"), claim(request, body))


@get("/v1/items", opt=needs(Right.READ_ACCOUNTS) | LIST)
async def list_items(request: Call, after: Text = None, limit: Limit = 50) -> Response[bytes]:
    """Items, newest first, without the deleted ones, so that a page may be shorter than its limit. A client sees those
    that it has made."""
    found, following = await streams(request, "item.created", after, limited(limit))
    pairs = [(_id(recorded), folded(recorded)) for recorded in found]
    return page([_shown(id, one) for id, one in pairs if one.deleted_at is None], following, request)


@get("/v1/items/{id:str}", opt=needs(Right.READ_ACCOUNTS) | SEE)
async def see_item(request: Call, id: FromPath[str]) -> Response[bytes]:
    """An item. 410 once it is deleted."""
    known = id_of(id)
    found = await _present(request, known)
    return shown(request, _shown(known, found), found.version)


@patch("/v1/items/{id:str}", opt=needs(Right.WRITE) | CHANGE)
async def change_item(request: Call, id: FromPath[str]) -> Response[bytes]:
    """Change what is named in the body. Needs If-Match: nobody overwrites what he has not seen."""
    known, body = id_of(id), await json_of(request)
    if found := flaws(body, item.Patch):
        raise invalid(found)
    return await decide(lambda: _write(request, known, msgspec.convert(body, item.Patch)))


@delete("/v1/items/{id:str}", opt=needs(Right.WRITE) | DELETE, status_code=200)
async def delete_item(request: Call, id: FromPath[str]) -> Response[bytes]:
    """Delete an item for good: from now on it answers 410."""
    known = id_of(id)
    return await decide(lambda: _write(request, known, None))


async def _write(request: Call, id: UUID, wanted: item.Patch | None) -> Response[bytes]:
    """Change the item, or delete it where nothing is wanted of it."""
    service, before = desk(request).service, await _present(request, id)
    require_version(request, before.version, always=wanted is not None)
    events: Sequence[item.Event] = item.delete(before) if wanted is None else item.change(before, wanted)
    now, after = service.now(), before
    for event in events:
        after = item.evolve(after, event, now)
    entry = Entry(compose.of_thing(id, before.version, events, meta(request, service), now, service.new_id))
    body = _shown(id, after) | written(entry)
    if events:
        await write(service, entry, Answer(200, b""), None)
    return ok(body, {"ETag": etag(after.version)})


async def _present(request: Call, id: UUID) -> Item:
    found = folded(await read(request, "item", id))
    if found.deleted_at is not None:
        raise Problem("gone", f"The item {id} was deleted.", deleted_at=found.deleted_at)
    return found


def folded(recorded: Sequence[Recorded]) -> Item:
    """The item that these facts tell of."""
    return item.fold((one.fact.event, one.fact.at) for one in recorded if isinstance(one.fact.event, item.Event))


def _id(recorded: Sequence[Recorded]) -> UUID:
    return UUID(recorded[0].fact.stream.removeprefix("item-"))


def _shown(id: UUID, found: Item) -> dict[str, Any]:
    assert found.details is not None, "What exists has details."
    times = {name: getattr(found, name) for name in ("created_at", "changed_at", "deleted_at")}
    return {"id": id, **msgspec.structs.asdict(found.details), **times, "links": {"self": f"/v1/items/{id}"}}
