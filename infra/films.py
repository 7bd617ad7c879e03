"""Videos as workers read and write them: out of their streams and into them."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from domain import video
from domain.log import Meta
from domain.video import Planned, Playable, Stills, Video
from infra.deciding import Deciding

VIDEO = "video"


@dataclass(frozen=True, slots=True)
class Films:
    deciding: Deciding

    async def read(self, id: UUID) -> Video:
        """An unknown video has version 0."""
        return await self.deciding.folded(VIDEO, id, video.fold)

    async def plan(self, id: UUID, planned: Planned, meta: Meta) -> None:
        await self.deciding.decide(VIDEO, id, video.fold, lambda found: video.plan(found, planned), meta)

    async def ready(self, id: UUID, playable: Playable, pieces: Sequence[UUID], meta: Meta) -> None:
        await self.deciding.decide(VIDEO, id, video.fold, lambda found: video.ready(found, playable, pieces), meta)

    async def show(self, id: UUID, stills: Stills, meta: Meta) -> None:
        await self.deciding.decide(VIDEO, id, video.fold, lambda found: video.show(found, stills), meta)
