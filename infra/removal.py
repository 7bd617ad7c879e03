"""Ends what works for deleted things, and lets go of their files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain import compose, image, lineage, task, video
from domain.holding import Change, Tasks
from domain.log import Conflict, Entry, Event, Log, Meta, Recorded, stream_of
from domain.task import ENDED, Task
from infra.clock import Clock

TRIES = 20
PAUSE_S = 0.5
FOLDS: Mapping[str, tuple[Any, Callable[[Any, Sequence[UUID]], Sequence[Event]], type[Any]]] = {
    "video": (video.fold, video.remove, video.Deleted),
    "image": (image.fold, image.remove, image.Deleted),
}


@dataclass(frozen=True, slots=True)
class Removal:
    log: Log
    tasks: Tasks
    clock: Clock

    async def remove(self, category: str, id: UUID, meta: Meta) -> int:
        """Answers how many tasks were cancelled. Raises Conflict where others write all the time."""
        stream, (_, _, deleted) = stream_of(category, id), FOLDS[category]
        recorded = await self.log.read(stream)
        ids = lineage.first(one.fact for one in recorded if not isinstance(one.fact.event, deleted))
        cancelled: set[UUID] = set()
        while True:
            found = await lineage.all_of(ids, self.tasks.get)
            open = {one: state for one, state in found.items() if state.status not in ENDED}
            if not open:
                break
            cancelled |= open.keys()
            await self._cancel(open, meta)
            await self.clock.sleep(PAUSE_S)
        await self._let_go(category, id, list(found), meta)
        return len(cancelled)

    async def _cancel(self, open: Mapping[UUID, Task], meta: Meta) -> None:
        changes = []
        for id, state in open.items():
            if events := task.cancel(state, meta.actor, "What it worked for was deleted."):
                facts, after = compose.of_task(id, state, events, meta, self.clock.now(), self.clock.new_id)
                changes.append(Change(id, after, facts, version=state.version))
        if changes:
            await self.tasks.settle(changes, meta.actor)

    async def _let_go(self, category: str, id: UUID, tasks: Sequence[UUID], meta: Meta) -> None:
        fold, remove, _ = FOLDS[category]
        for left in reversed(range(TRIES)):
            recorded: Sequence[Recorded] = await self.log.read(stream_of(category, id))
            thing = fold((one.fact.event, one.fact.at) for one in recorded)
            if not (events := remove(thing, tasks)):
                return
            now, new_id = self.clock.now(), self.clock.new_id
            try:
                await self.log.append(Entry(compose.of_thing(id, thing.version, events, meta, now, new_id)))
            except Conflict:
                if left == 0:
                    raise
