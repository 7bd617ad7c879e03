"""One step of a reader: what it makes of the next facts, and how far it has come, in one transaction.

Applying a fact twice, or passing one by, is then impossible, whatever dies and whenever."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from domain.log import Recorded


class Reading(Protocol):
    """A transaction of one reader; what is written in it stands, or does not, together with the cursor."""

    async def position(self) -> int:
        """The last position applied. Another process of the same reader waits here until this one has ended."""

    async def following(self, position: int, limit: int) -> Sequence[Recorded]:
        """The facts after a position, at most `limit`, fewer where they are large."""

    async def moved(self, position: int) -> None:
        """Move the cursor."""


async def step(reading: Reading, apply: Callable[[Sequence[Recorded]], Awaitable[None]], limit: int) -> int:
    """Apply the next facts after the cursor; answers how many. The caller commits."""
    position = await reading.position()
    recorded = await reading.following(position, limit)
    if recorded:
        await apply(recorded)
        last = recorded[-1].position
        assert last is not None, "What is read from the ledger has a position."
        await reading.moved(last)
    return len(recorded)
