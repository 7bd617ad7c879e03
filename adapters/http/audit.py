"""The audit trail, as its reader has written it."""

from collections.abc import AsyncIterator, Sequence

import msgspec
from litestar import Response
from litestar.response import Stream
from msgspec.structs import replace

from adapters.http import examples
from adapters.http.auth import needs
from adapters.http.caught_up import caught_up
from adapters.http.described import Reply, described
from adapters.http.desk import Call, desk
from adapters.http.export import CSV, NDJSON, exported, limit_of, wanted
from adapters.http.methods import get
from adapters.http.page import MOST_ITEMS, Id, Limit, Moment, Position, Text, limited, page, utc
from adapters.http.shown import ENCODER
from domain import audit
from domain.access import Right
from domain.audit import Line

READER = "audit"


class AuditPage(msgspec.Struct):
    items: list[Line]
    next: int | None
    position: int  # that the reader has reached


LINE = Line(
    position=7,
    at=examples.AT,
    actor="client",
    action="account.registered",
    subject=f"account-{examples.ACCOUNT_ID}",
    address="192.0.2.7",
    request_id="checkout-7",
)
NDJSON_LINE = ENCODER.encode(LINE).decode() + "\n"
CSV_LINES = "position,at,actor,…\r\n7,2026-01-31T12:00:00Z,client,…\r\n"
LIST = described(
    "list_audit",
    "Log",
    {200: Reply(AuditPage, AuditPage([LINE], 7, 9), may=["Link"], also={NDJSON: NDJSON_LINE, CSV: CSV_LINES})},
    problems=["not-yet", "log-changed"],
)


@get("/v1/audit", opt=needs(Right.READ_LOG) | LIST)
async def list_audit(
    request: Call,
    subject: Text = None,
    actor: Text = None,
    action: Text = None,
    request_id: Text = None,
    since: Moment = None,
    until: Moment = None,
    after: Position = 0,
    limit: Limit = 50,
    after_event: Id = None,
    after_position: Position = 0,
) -> Response[bytes] | Stream:
    """Who did what, in order: a page of JSON, or by `Accept` all of it as NDJSON or CSV. With `after_event` or
    `after_position` it waits until the reader has applied that."""
    await caught_up(desk(request), READER, after_event, after_position)
    asked = audit.Wanted(
        subject=subject,
        actor=actor,
        action=action,
        request_id=request_id,
        since=utc("since", since),
        until=utc("until", until),
        after=after,
        limit=limited(limit),
    )
    queries = desk(request).service.queries
    reached = (await queries.cursors([READER]))[READER]
    if (kind := wanted(request, NDJSON, CSV)) is not None:
        return await exported(kind, _pages(request, asked, reached), limit_of(request, limit))
    lines = await queries.audit(asked)
    return page(lines, lines[-1].position if len(lines) == asked.limit else None, request, position=reached)


async def _pages(request: Call, asked: audit.Wanted, reached: int) -> AsyncIterator[Sequence[audit.Line]]:
    """All lines up to where the reader is now, a page at a time."""
    asked = replace(asked, limit=MOST_ITEMS)
    while lines := await desk(request).service.queries.audit(asked):
        if whole := [line for line in lines if line.position <= reached]:
            yield whole
        if len(whole) < MOST_ITEMS:
            return
        asked = replace(asked, after=lines[-1].position)
