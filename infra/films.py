"""Videos as workers read and write them: out of their streams and into them, and the tasks that work for them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from domain import compose, video
from domain.holding import Tasks
from domain.kind import AnyKind
from domain.log import Conflict, Log, Meta, Recorded, stream_of
from domain.task import Task
from domain.video import Event, Planned, Playable, Stills, Video
from infra.clock import Clock

TRIES = 20
PAUSE_S = 0.5
Decide = Callable[[Video], Sequence[Event]]


@dataclass(frozen=True, slots=True)
class Films:
    log: Log
    tasks: Tasks
    clock: Clock
    kinds: Mapping[str, AnyKind]

    async def read(self, id: UUID) -> Video:
        """An unknown video has version 0."""
        return _folded(await self.log.read(stream_of("video", id)))

    async def plan(self, id: UUID, planned: Planned, meta: Meta) -> None:
        await self._decide(id, lambda found: video.plan(found, planned), meta)

    async def ready(self, id: UUID, playable: Playable, pieces: Sequence[UUID], meta: Meta) -> None:
        await self._decide(id, lambda found: video.ready(found, playable, pieces), meta)

    async def show(self, id: UUID, stills: Stills, meta: Meta) -> None:
        await self._decide(id, lambda found: video.show(found, stills), meta)

    async def needs(self, id: UUID) -> dict[UUID, Task]:
        """What a task needed, as it ended, in the order in which it was asked for."""
        needed = (await self.tasks.get([id]))[id].needs
        found = await self.tasks.get(needed)
        return {one: found[one] for one in needed}

    async def _decide(self, id: UUID, decide: Decide, meta: Meta) -> None:
        """Raises Conflict where others write all the time."""
        for left in reversed(range(TRIES)):
            recorded = await self.log.read(stream_of("video", id))
            found = _folded(recorded)
            if not (events := decide(found)):
                return
            now, new_id, owner = self.clock.now(), self.clock.new_id, recorded[0].fact.meta.actor
            facts = compose.of_thing(id, found.version, events, meta, now, new_id)
            try:
                await self.log.append(compose.entry(facts, dict(self.kinds), now, new_id, by=owner))
            except Conflict:  # somebody was faster: decide again
                if left == 0:
                    raise
                await asyncio.sleep(self.clock.chance() * 0.05)
            else:
                return


def _folded(recorded: Sequence[Recorded]) -> Video:
    return video.fold((one.fact.event, one.fact.at) for one in recorded if isinstance(one.fact.event, video.Event))
