"""The audit trail, as its reader has written it."""

import time
from uuid import UUID

import msgspec
from litestar import Response

from adapters.http import examples
from adapters.http.auth import needs
from adapters.http.described import Reply, described
from adapters.http.desk import Call, Desk, desk
from adapters.http.methods import get
from adapters.http.page import Id, Limit, Position, Text, limited, page
from adapters.http.problems import Problem, invalid
from domain.access import Right
from domain.audit import Line
from domain.views import HEAD

READER = "audit"
LONGEST_S = 20.0


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
LIST = described(
    "list_audit",
    "Log",
    {200: Reply(AuditPage, AuditPage([LINE], 7, 9), may=["Link"])},
    problems=["not-yet", "log-changed"],
)


@get("/v1/audit", opt=needs(Right.READ_LOG) | LIST)
async def list_audit(
    request: Call,
    subject: Text = None,
    actor: Text = None,
    after: Position = 0,
    limit: Limit = 50,
    after_event: Id = None,
    after_position: Position = 0,
) -> Response[bytes]:
    """Who did what, in order. With `after_event` or `after_position` it waits until the reader has applied that."""
    await caught_up(desk(request), READER, after_event, after_position)
    queries, most = desk(request).service.queries, limited(limit)
    reached = (await queries.cursors([READER]))[READER]
    lines = await queries.audit(subject, actor, after, most)
    return page(lines, lines[-1].position if len(lines) == most else None, request, position=reached)


async def caught_up(desk: Desk, reader: str, event: UUID | None, position: int) -> None:
    """Wait until the reader has applied both. Raises Problem where that takes too long, or the log ends before."""
    deadline = time.monotonic() + LONGEST_S
    if event is not None:
        position = max(position, await _position(desk, event, LONGEST_S))
    cursors = await desk.service.queries.cursors([reader])
    reached, head = cursors[reader], cursors[HEAD]
    if position > head:
        epoch = await desk.service.queries.epoch()
        raise Problem("log-changed", f"It ends at {head}, before {position}.", epoch=epoch, head=head)
    if reached < position and not await desk.cursors.until(
        reader, lambda cursor: cursor >= position, deadline - time.monotonic()
    ):
        raise _not_yet(f"The reader {reader} has not applied the position {position} yet.")


async def _position(desk: Desk, event: UUID, patience_s: float) -> int:
    found = await desk.service.queries.positions([event])
    if event not in found:
        raise invalid([{"parameter": "after_event", "detail": "There is no such event"}])
    if found[event] == 0:
        if not await desk.positions.until(event, lambda position: position > 0, patience_s):
            raise _not_yet(f"The event {event} has no position yet.")
        found = await desk.service.queries.positions([event])
    return found[event]


def _not_yet(detail: str) -> Problem:
    return Problem("not-yet", detail)
