"""The search: over accounts, items, orders and videos; and its index, built anew while it answers."""

import re
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import Response, post
from litestar.params import QueryParameter

from adapters.http import examples
from adapters.http.auth import needs
from adapters.http.body import json_or_nothing
from adapters.http.changes import FOLLOW
from adapters.http.cursor import no_cursor, opened, sealed
from adapters.http.described import Body, Reply, described
from adapters.http.desk import Call, desk
from adapters.http.methods import get
from adapters.http.origin import meta
from adapters.http.page import Text, page
from adapters.http.problems import invalid
from adapters.http.shape import flaws
from adapters.http.shown import Accepted, accepted_json
from adapters.http.write import claim, write
from domain import compose, search
from domain.access import Right
from domain.log import Answer, Entry
from domain.views import Seen

MOST = 100
PLACE = re.compile(r"[0-9]{1,6}\.[0-9]{6} [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
Category = Literal["account", "item", "order", "video"]
Words = Annotated[
    str,
    QueryParameter(
        pattern=r"^[^\x00]*[^\x00\s][^\x00]*$",
        max_length=256,
        description="words: 1 to 256 characters without NUL, not only spaces",
    ),
]
Categories = Annotated[
    list[Category] | None, QueryParameter(description=f"one of {', '.join(search.CATEGORIES)}; several together")
]
Few = Annotated[int, QueryParameter(ge=1, description="a whole number from 1")]


class Hit(msgspec.Struct, kw_only=True):
    """One thing that was found. `highlight` is HTML: all is escaped but `<mark>`, around what was found."""

    category: Category
    id: UUID
    title: str
    at: datetime
    score: float
    highlight: str
    href: str


class Hits(msgspec.Struct):
    items: list[Hit]
    next: str | None


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """Nothing has to be said."""


LAMP = {
    "category": "item",
    "id": examples.ITEM_ID,
    "title": "Lamp",
    "at": examples.AT,
    "score": 1.6,
    "highlight": "<mark>Lamp</mark> – Brass.",
    "href": f"/v1/items/{examples.ITEM_ID}",
}
FIND = described("search", "Search", {200: Reply(Hits, {"items": [LAMP], "next": examples.CURSOR}, may=["Link"])})
REBUILD = described(
    "rebuild_search",
    "Search",
    {202: Reply(Accepted, examples.ACCEPTED, ["Location", "Retry-After"], links=FOLLOW)},
    Body(Nothing, {"nothing": {}}, optional=True),
)


@get("/v1/search", opt=needs(Right.READ_ACCOUNTS) | FIND)
async def find(
    request: Call, q: Words, category: Categories = None, after: Text = None, limit: Few = 20
) -> Response[bytes]:
    """What these words find, the best first: every word, or a title that is like them. Words in a row stand in quotes,
    `or` between those of which one is enough, and `-` before those that must not be there."""
    owner = None if request.user.sees("") else request.user.name
    few, behind = min(limit, MOST), _behind(request, after)
    wanted = search.Wanted(words=q, owner=owner, categories=tuple(category or ()), after=behind, limit=few + 1)
    found = await desk(request).service.queries.found(wanted)
    more = len(found) > few
    items = [
        Hit(**msgspec.structs.asdict(one) | {"href": f"/v1/{one.category}s/{one.id}", "score": float(one.score)})
        for one in found[:few]
    ]
    following = sealed(request, f"{found[len(items) - 1].score} {items[-1].id}") if more else None
    return page(items, following, request)


@post("/v1/search/rebuild", opt=needs(Right.REBUILD) | REBUILD)
async def rebuild_search(request: Call) -> Response[bytes]:
    """Build the index anew out of the log, beside the one that answers: a task with its progress, which puts the new
    index in the old one's place when it is complete and its documents are counted."""
    service, body = desk(request).service, await json_or_nothing(request)
    if found := flaws(body, Nothing):
        raise invalid(found)
    id, now = service.new_id(), service.now()
    wanted = compose.asked(service.kinds[search.KIND.name], {}, request.user.name, ())
    facts, state = compose.new_task(id, wanted, meta(request, service), now, service.new_id)
    told = accepted_json(Seen(id=id, task=state), [id], [fact.id for fact in facts])
    answer = Answer(202, told, f"/v1/tasks/{id}")
    return await write(service, Entry(facts, ((id, state),)), answer, claim(request, body))


def _behind(request: Call, cursor: str | None) -> tuple[str, UUID] | None:
    """The score and the id of the last one that was told. Raises Problem."""
    if (last := opened(request, cursor)) is None:
        return None
    if not PLACE.fullmatch(last):  # whoever knows how a mark is made can put it on anything
        raise no_cursor()
    score, _, id = last.partition(" ")
    return score, UUID(id)
