"""Bells for tasks that nobody heard of: delivered and not taken, or no longer in the stream.

A bell is rung when a task has waited for 5 s, then after 10, 20, 40, … s, at last every 5 minutes. How long it has
waited is told by its position: the log's head at every tick says since when a position has been there. So nothing is
kept for a task, and no clock but this process's own is believed. Of a long queue a page is looked at in every tick:
none of its tasks hides another."""

import math
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from uuid import UUID

from domain.holding import Place, Tasks

PAGE = 1_000  # queued tasks of a queue that are looked at in one tick
KNOWN_S = 200.0  # how far back the heads go
LONGEST_S = 300.0  # between two bells for a task that is older than that


@dataclass(frozen=True, slots=True)
class Heard:
    """What NATS told, and the log's head at that moment: all are positions."""

    delivered: dict[str, int]  # up to where each queue's consumer has delivered
    first: int  # that the stream still holds
    head: int


@dataclass(slots=True)
class Walk:
    """A walk through one queue, page by page, again and again."""

    begun: float = -math.inf
    before: float = -math.inf  # when the walk before this one began
    place: Place | None = None  # behind which the next page begins


@dataclass(slots=True)
class Bells:
    tasks: Tasks
    unheard_s: float
    page: int = PAGE
    _walks: dict[str, Walk] = field(default_factory=dict)
    _heads: deque[tuple[int, float]] = field(default_factory=deque)  # (position, when it was the head), ascending

    async def due(self, heard: Heard, now: float) -> dict[str, list[UUID]]:
        """The tasks to ring for now, by queue. `now` are seconds of a monotonic clock."""
        self._heads.append((heard.head, now))
        while self._heads[0][1] < now - KNOWN_S:
            self._heads.popleft()
        found = {queue: await self._next_page(queue, heard, now) for queue in heard.delivered}
        return {queue: ids for queue, ids in found.items() if ids}

    async def _next_page(self, queue: str, heard: Heard, now: float) -> list[UUID]:
        walk = self._walks.setdefault(queue, Walk())
        if walk.place is None:
            walk.before, walk.begun = walk.begun, now
        unheard, walk.place = await self.tasks.unheard(
            queue, heard.delivered[queue], heard.first, walk.place, self.page
        )
        return [id for id, position in unheard if self._bells(position, now) > self._bells(position, walk.before)]

    def _bells(self, position: int, at: float) -> int:
        """How many bells a task at the position should have had by then; only differences mean something."""
        known = bisect_left(self._heads, (position, -math.inf))
        if known == 0:  # older than what is known, as everything is right after an election
            return int(at // LONGEST_S) if math.isfinite(at) else -1
        if known == len(self._heads) or (waited := at - self._heads[known][1]) < self.unheard_s:
            return 0
        return 1 + int(math.log2(waited / self.unheard_s))
