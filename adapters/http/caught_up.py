"""Reading one's own writes: whoever names a fact waits until the reader has applied it."""

import time
from uuid import UUID

from adapters.http.desk import Desk
from adapters.http.problems import Problem, invalid
from domain.views import HEAD

LONGEST_S = 20.0


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
