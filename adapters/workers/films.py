"""What every worker of videos does: it takes the plan."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from adapters.tools.ffmpeg import Ffmpeg
from adapters.tools.shelf import Shelf
from adapters.workers.children import refused, told
from domain.log import Meta
from domain.outcome import Outcome
from domain.task import Task
from domain.video import Planned, Playable, Stills, Video


class Films(Protocol):
    """Videos out of their streams and into them."""

    async def read(self, id: UUID) -> Video: ...
    async def plan(self, id: UUID, planned: Planned, meta: Meta) -> None: ...
    async def ready(self, id: UUID, playable: Playable, pieces: Sequence[UUID], meta: Meta) -> None: ...
    async def show(self, id: UUID, stills: Stills, meta: Meta) -> None: ...


Needs = Callable[[UUID], Awaitable[Mapping[UUID, Task]]]
"""The tasks that a task needed, as they ended, in the order in which it was asked for."""


@dataclass(frozen=True, slots=True)
class Studio:
    """All that is needed to make one."""

    films: Films
    shelf: Shelf
    ffmpeg: Ffmpeg
    needs: Needs
    sides: Sequence[int]  # of the renditions: the shorter one, in pixels
    preset: str  # of the encoder


Step = Callable[[Video, Planned], Awaitable[Outcome]]


async def planned(studio: Studio, id: UUID, step: Step) -> Outcome:
    """The step, with the video as it was planned."""
    found = await studio.films.read(id)
    if found.planned is None or found.deleted_at is not None:
        return refused("no_video", f"There is no video {id} with a plan.")
    plan = found.planned
    return await told(lambda: step(found, plan))
