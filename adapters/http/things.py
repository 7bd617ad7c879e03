"""What items, orders and accounts have in common: streams of their own, which their makers and the staff may see."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from litestar import Response

from adapters.http.cursor import opened_id, sealed
from adapters.http.desk import Call, desk
from adapters.http.problems import Problem
from adapters.http.shown import etag, matches, ok, strong_tags, tags
from domain.log import Entry, Recorded, stream_of


async def read(request: Call, category: str, id: UUID) -> Sequence[Recorded]:
    """The facts of one thing. Raises Problem where there are none, or this key may not know of them."""
    recorded = await desk(request).service.log.read(stream_of(category, id))
    if not recorded or not request.user.sees(recorded[0].fact.meta.actor):
        raise Problem("not-found", f"There is no {category} {id}.")
    return recorded


def shown(request: Call, body: dict[str, Any], version: int) -> Response[bytes]:
    """A thing at this version, or 304 where the caller has it already."""
    tag = {"ETag": etag(version)}
    if matches(tag["ETag"], tags(request, "if-none-match")):
        return Response(b"", status_code=304, headers=tag)
    return ok(body, tag)


def written(entry: Entry) -> dict[str, list[UUID]]:
    """What stands in an answer beside the thing: the tasks that follow, and the facts."""
    return {"tasks": [id for id, _ in entry.tasks], "events": [fact.id for fact in entry.facts]}


def require_version(request: Call, version: int, always: bool) -> None:
    """Raises Problem where If-Match names another version, or is missing and `always` needed."""
    given = strong_tags(request, "if-match")
    if given is None and always:
        raise Problem(
            "precondition-required", f"Send If-Match with the ETag that you have read; it is {etag(version)}."
        )
    if given is not None and not matches(etag(version), given):
        raise Problem("stale", f"It is at {etag(version)}.", headers={"ETag": etag(version)})


async def streams(
    request: Call, created: str, after: str | None, limit: int
) -> tuple[Sequence[Sequence[Recorded]], str | None]:
    """A page of things by the name of their first fact, newest first, and the cursor of the next page."""
    last = opened_id(request, after)
    owner = None if request.user.sees("") else request.user.name
    found = await desk(request).service.queries.things(created, owner, last, limit + 1)
    following = sealed(request, str(found[limit - 1][0].fact.id)) if len(found) > limit else None
    return found[:limit], following
