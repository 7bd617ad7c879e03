"""What every worker of videos does: it takes the plan, and says in words what went wrong."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from adapters.tools.ffmpeg import Ffmpeg, NoFilm, NoRoom
from adapters.tools.sandbox import Broken, TooMuch
from adapters.tools.shelf import Shelf
from domain.log import Meta
from domain.outcome import Error, Outcome, Refused, Stumbled
from domain.task import Task
from domain.video import Planned, Playable, Stills, Video


class Films(Protocol):
    """Videos out of their streams and into them."""

    async def read(self, id: UUID) -> Video: ...
    async def plan(self, id: UUID, planned: Planned, meta: Meta) -> None: ...
    async def ready(self, id: UUID, playable: Playable, pieces: Sequence[UUID], meta: Meta) -> None: ...
    async def show(self, id: UUID, stills: Stills, meta: Meta) -> None: ...
    async def needs(self, id: UUID) -> dict[UUID, Task]: ...
    async def remove(self, id: UUID, meta: Meta) -> int: ...


@dataclass(frozen=True, slots=True)
class Studio:
    """All that is needed to make one."""

    films: Films
    shelf: Shelf
    ffmpeg: Ffmpeg
    sides: Sequence[int]  # of the renditions: the shorter one, in pixels
    preset: str  # of the encoder


Step = Callable[[Video, Planned], Awaitable[Outcome]]


async def planned(studio: Studio, id: UUID, step: Step) -> Outcome:
    """The step, with the video as it was planned."""
    found = await studio.films.read(id)
    if found.planned is None or found.deleted_at is not None:
        return _refused("no_video", f"There is no video {id} with a plan.")
    plan = found.planned
    return await told(lambda: step(found, plan))


async def told(work: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """How the work ended, also where a child or the disk was at fault."""
    try:
        return await work()
    except NoFilm as error:
        return _refused("not_a_film", str(error))
    except TooMuch as error:
        return _refused("too_much", str(error))
    except Broken as error:
        return Stumbled(error=Error(type="broken", detail=str(error)))
    except NoRoom:
        return Stumbled(error=Error(type="no_room", detail="There is no room left where the work is done."))
    except FileNotFoundError as error:
        return _refused("no_file", f"The file is not in the store any more: {error}")


def _refused(type: str, detail: str) -> Refused:
    return Refused(error=Error(type=type, detail=detail))
