"""Orders: made of items, for an account; confirmed once, which sets their tasks off."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from litestar import Response, post
from litestar.params import FromPath

from adapters.http import examples
from adapters.http.auth import needs
from adapters.http.body import json_of, json_or_nothing
from adapters.http.described import Body, Reply, described
from adapters.http.desk import Call, desk
from adapters.http.items import folded as folded_item
from adapters.http.methods import get
from adapters.http.origin import meta
from adapters.http.page import Limit, Text, limited, page
from adapters.http.problems import Problem, invalid
from adapters.http.shape import Flaw, flaw, flaws
from adapters.http.shown import ENCODER, id_of, ok
from adapters.http.things import read, require_version, shown, streams, written
from adapters.http.write import Claim, answered, claim, decide, write
from domain import compose, order, warehouse
from domain.access import Right
from domain.item import Item
from domain.log import Answer, Entry, Fact, Recorded
from domain.order import Order
from domain.reactions import follow


class Confirm(msgspec.Struct, forbid_unknown_fields=True):
    """Nothing has to be said."""


class OrderShown(msgspec.Struct, kw_only=True):
    id: UUID
    status: Literal["draft", "confirmed"]
    account: UUID
    lines: list[order.Line]
    total_cents: int
    currency: str
    notify: str | None
    created_at: datetime
    confirmed_at: datetime | None
    recorded_at: datetime | None
    tasks: list[UUID]  # that its confirmation has set off
    links: dict[str, str]


class OrderWritten(OrderShown, kw_only=True):
    """An order together with what was written for it."""

    events: list[UUID]


class OrderPage(msgspec.Struct):
    items: list[OrderShown]
    next: str | None


WANTED = {"account": examples.ACCOUNT_ID, "lines": [{"item": examples.ITEM_ID, "quantity": 2}]}
HERE = f"/v1/orders/{examples.ORDER_ID}"
SHOWN = {
    "id": examples.ORDER_ID,
    "status": "draft",
    "account": examples.ACCOUNT_ID,
    "lines": [order.Line(item=examples.ITEM_ID, name="Lamp", quantity=2, price_cents=4_900)],
    "total_cents": 9_800,
    "currency": "EUR",
    "notify": None,
    "created_at": examples.AT,
    "confirmed_at": None,
    "recorded_at": None,
    "tasks": [],
    "links": {"self": HERE, "confirm": f"{HERE}/confirm"},
}
CONFIRMED = SHOWN | {"status": "confirmed", "confirmed_at": examples.AT, "tasks": [examples.TASK_ID]}
FOLLOW = {"see_order": "$response.body#/id", "confirm_order": "$response.body#/id"}
CREATE = described(
    "create_order",
    "Orders",
    {201: Reply(OrderWritten, SHOWN | {"events": [examples.EVENT_ID]}, ["Location"], links=FOLLOW)},
    Body(order.Wanted, {"two_lamps": WANTED}),
)
LIST = described(
    "list_orders", "Orders", {200: Reply(OrderPage, {"items": [SHOWN], "next": examples.CURSOR}, may=["Link"])}
)
SEE = described("see_order", "Orders", {200: Reply(OrderShown, SHOWN, ["ETag"])}, takes=["If-None-Match"])
CONFIRM = described(
    "confirm_order",
    "Orders",
    {
        200: Reply(OrderWritten, CONFIRMED | {"events": []}),
        202: Reply(
            OrderWritten,
            CONFIRMED | {"events": [examples.EVENT_ID]},
            ["Location", "Retry-After"],
            links={"see_task": "$response.body#/tasks/0"},
        ),
    },
    Body(Confirm, {"nothing": {}}, optional=True),
    takes=["If-Match"],
    problems=["conflict"],
)


@post("/v1/orders", opt=needs(Right.WRITE) | CREATE)
async def create_order(request: Call) -> Response[bytes]:
    """Make an order of items at today's prices. Nothing follows before it is confirmed."""
    service, body = desk(request).service, await json_of(request)
    if found := flaws(body, order.Wanted):
        raise invalid(found)
    wanted = msgspec.convert(body, order.Wanted)
    if wanted.notify is not None and (wrong := warehouse.flaw(wanted.notify, service.private_webhooks)):
        raise invalid([flaw("/notify", wrong)])
    if not await _exists(request, "account", wanted.account):
        raise invalid([flaw("/account", f"There is no account {wanted.account}")])
    items = {id: await _item(request, id) for id in dict.fromkeys(line.item for line in wanted.lines)}
    id, now = service.new_id(), service.now()
    try:
        events = order.create(Order(), wanted, items)
    except order.Unsellable as error:
        raise invalid([_of_line(error)]) from None
    entry = Entry(compose.of_thing(id, 0, events, meta(request, service), now, service.new_id))
    told = _shown(id, order.fold((event, now) for event in events), []) | written(entry)
    return await write(service, entry, Answer(201, ENCODER.encode(told), f"/v1/orders/{id}"), claim(request, body))


@get("/v1/orders", opt=needs(Right.READ_ACCOUNTS) | LIST)
async def list_orders(request: Call, after: Text = None, limit: Limit = 50) -> Response[bytes]:
    """Orders, newest first. A client sees those that it has made."""
    found, following = await streams(request, "order.created", after, limited(limit))
    return page([_of_stream(recorded) for recorded in found], following, request)


@get("/v1/orders/{id:str}", opt=needs(Right.READ_ACCOUNTS) | SEE)
async def see_order(request: Call, id: FromPath[str]) -> Response[bytes]:
    """An order, with the tasks that its confirmation has set off."""
    recorded = await read(request, "order", id_of(id))
    return shown(request, _of_stream(recorded), _folded(recorded).version)


@post("/v1/orders/{id:str}/confirm", opt=needs(Right.WRITE) | CONFIRM)
async def confirm_order(request: Call, id: FromPath[str]) -> Response[bytes]:
    """Confirm an order: its tasks run strictly one after the other. 200 where it is confirmed already."""
    known, body = id_of(id), await json_or_nothing(request)
    if found := flaws(body, Confirm):
        raise invalid(found)
    claimed = claim(request, body)
    return await decide(lambda: _confirm(request, known, claimed))


async def _confirm(request: Call, id: UUID, claimed: Claim | None) -> Response[bytes]:
    service, recorded = desk(request).service, await read(request, "order", id)
    before, now = _folded(recorded), service.now()
    require_version(request, before.version, always=False)
    events = order.confirm(before)
    if not events:
        return await answered(service, claimed) or ok(_of_stream(recorded) | {"events": []})
    facts = compose.of_thing(id, before.version, events, meta(request, service), now, service.new_id)
    entry = compose.entry(facts, dict(service.kinds), now, service.new_id)
    after = order.evolve(before, events[0], now)
    told = _shown(id, after, []) | written(entry)
    return await write(service, entry, Answer(202, ENCODER.encode(told), f"/v1/orders/{id}"), claimed)


async def _exists(request: Call, category: str, id: UUID) -> bool:
    """Whether there is such a thing that this key may know of."""
    try:
        return bool(await read(request, category, id))
    except Problem:
        return False


async def _item(request: Call, id: UUID) -> Item:
    return folded_item(await read(request, "item", id)) if await _exists(request, "item", id) else Item()


def _of_line(error: order.Unsellable) -> Flaw:
    return flaw(f"/lines/{error.line}/item", error.detail)


def _of_stream(recorded: Sequence[Recorded]) -> dict[str, Any]:
    id = UUID(recorded[0].fact.stream.removeprefix("order-"))
    return _shown(id, _folded(recorded), [one.fact for one in recorded])


def _folded(recorded: Sequence[Recorded]) -> Order:
    return order.fold((one.fact.event, one.fact.at) for one in recorded if isinstance(one.fact.event, order.Event))


def _shown(id: UUID, found: Order, facts: Sequence[Fact]) -> dict[str, Any]:
    here = f"/v1/orders/{id}"
    return {
        "id": id,
        "status": "draft" if found.confirmed_at is None else "confirmed",
        **{name: value for name, value in msgspec.structs.asdict(found).items() if name != "version"},
        "tasks": [one.id for fact in facts for one in follow(fact)],
        "links": {"self": here, "confirm": f"{here}/confirm"},
    }
