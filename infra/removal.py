"""Ends what works for deleted things, and lets go of their files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain import compose, image, lineage, report, task, video
from domain.holding import Change, Tasks
from domain.log import Event, Meta
from domain.task import ENDED, Task
from infra.deciding import Deciding

PAUSE_S = 0.5
FOLDS: Mapping[str, tuple[Any, Callable[[Any, Sequence[UUID]], Sequence[Event]], type[Any]]] = {
    "video": (video.fold, video.remove, video.Deleted),
    "image": (image.fold, image.remove, image.Deleted),
    "report": (report.fold, report.remove, report.Deleted),
}


@dataclass(frozen=True, slots=True)
class Removal:
    deciding: Deciding
    tasks: Tasks

    async def remove(self, category: str, id: UUID, meta: Meta) -> int:
        """Answers how many tasks were cancelled. Raises Conflict where others write all the time."""
        fold, remove, deleted = FOLDS[category]
        recorded = await self.deciding.read(category, id)
        assert any(isinstance(one.fact.event, deleted) for one in recorded), "Only what was deleted is removed."
        ids = lineage.first(one.fact for one in recorded if not isinstance(one.fact.event, deleted))
        cancelled: set[UUID] = set()
        while True:
            found = await lineage.all_of(ids, self.tasks.get)
            open = {one: state for one, state in found.items() if state.status not in ENDED}
            if not open:
                break
            cancelled |= open.keys()
            await self._cancel(open, meta)
            await self.deciding.clock.sleep(PAUSE_S)
        await self.deciding.decide(category, id, fold, lambda thing: remove(thing, list(found)), meta)
        return len(cancelled)

    async def _cancel(self, open: Mapping[UUID, Task], meta: Meta) -> None:
        changes, clock = [], self.deciding.clock
        for id, state in open.items():
            if events := task.cancel(state, meta.actor, "What it worked for was deleted."):
                facts, after = compose.of_task(id, state, events, meta, clock.now(), clock.new_id)
                changes.append(Change(id, after, facts, version=state.version))
        if changes:
            await self.tasks.settle(changes, meta.actor)
