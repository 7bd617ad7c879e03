"""Read a stream, decide, write, and decide again where somebody else wrote first: as workers do it."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from domain import compose
from domain.kind import AnyKind
from domain.log import Conflict, Event, Log, Meta, Recorded, stream_of
from infra.clock import Clock

TRIES = 20
Thing = TypeVar("Thing")
Fold = Callable[[Iterable[tuple[Any, datetime]]], Thing]


@dataclass(frozen=True, slots=True)
class Deciding:
    """Whatever follows from what is written belongs to the maker of the thing."""

    log: Log
    clock: Clock
    kinds: Mapping[str, AnyKind]

    async def read(self, category: str, id: UUID) -> Sequence[Recorded]:
        return await self.log.read(stream_of(category, id))

    async def folded(self, category: str, id: UUID, fold: Fold[Thing]) -> Thing:
        """The thing as its stream tells it; one that is unknown has version 0."""
        return fold((one.fact.event, one.fact.at) for one in await self.read(category, id))

    async def decide(
        self, category: str, id: UUID, fold: Fold[Any], decide: Callable[[Any], Sequence[Event]], meta: Meta
    ) -> None:
        """Raises Conflict where others write all the time."""
        for left in reversed(range(TRIES)):
            recorded = await self.read(category, id)
            thing = fold((one.fact.event, one.fact.at) for one in recorded)
            if not (events := decide(thing)):
                return
            now, new_id, owner = self.clock.now(), self.clock.new_id, recorded[0].fact.meta.actor
            facts = compose.of_thing(id, thing.version, events, meta, now, new_id)
            try:
                await self.log.append(compose.entry(facts, dict(self.kinds), now, new_id, by=owner))
            except Conflict:  # somebody was faster
                if left == 0:
                    raise
                await asyncio.sleep(self.clock.chance() * 0.05)
            else:
                return
