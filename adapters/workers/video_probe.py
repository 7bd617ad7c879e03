"""Looks into a film, and plans what is to be made of it: one fact, from which all other tasks follow."""

from collections.abc import Mapping
from typing import Any

import msgspec

from adapters.tools.ffmpeg import Looked
from adapters.workers.children import told
from adapters.workers.films import Studio
from domain import transcoding, video
from domain.file import File
from domain.job import Job, Work
from domain.outcome import Done, Error, Outcome, Refused
from domain.video import Planned, Playable, Rendition, Stills


def video_probe(studio: Studio) -> Work:
    """The worker with its tools."""

    async def work(request: transcoding.OfVideo, job: Job) -> Outcome:
        found = await studio.films.read(request.video)
        if found.created is None or found.deleted_at is not None:
            return Refused(error=Error(type="no_video", detail=f"There is no video {request.video}."))
        source = found.created.source

        async def look() -> Outcome:
            if found.planned is None:
                plan = await _plan(studio, source, job)
                await studio.films.plan(request.video, plan, job.meta)
            counts = (await studio.films.read(request.video)).planned
            assert counts is not None, "It was planned just now, here or by somebody who was faster."
            names = tuple(one.name for one in counts.renditions)
            return Done(result=transcoding.Plan(pieces=len(counts.pieces), renditions=names))

        return await told(look)

    return work


async def _plan(studio: Studio, source: File, job: Job) -> Planned:
    async with studio.shelf.source(source) as opened:
        looked, work = await studio.ffmpeg.look(opened()), source
        if not looked.cuttable:
            async with studio.shelf.bench(job.id) as bench:
                contained = await studio.ffmpeg.contain(opened(), bench.made, looked.found)
                [work] = await studio.shelf.keep(contained)
            looked = await _looked(studio, work)
    plan = Planned(
        found=looked.found,
        pieces=looked.pieces,
        renditions=video.renditions(looked.found, studio.sides),
        work=work,
        preset=studio.preset,
        warnings=looked.warnings,
    )
    reused = [one for rendition in plan.renditions if (one := await _playable(studio, plan, rendition)) is not None]
    stills = await studio.shelf.made(plan.work.sha256, transcoding.stills_of())
    shown = msgspec.convert(stills["stills"], Stills) if stills is not None else None
    return msgspec.structs.replace(plan, reused=tuple(reused), reused_stills=shown)


async def _looked(studio: Studio, file: File) -> Looked:
    async with studio.shelf.source(file) as opened:
        return await studio.ffmpeg.look(opened())


async def _playable(studio: Studio, plan: Planned, rendition: Rendition) -> Playable | None:
    """The rendition as another video with the same bytes has it."""
    made: Mapping[str, Any] | None = await studio.shelf.made(plan.work.sha256, transcoding.package_of(plan, rendition))
    return msgspec.convert(made["playable"], Playable) if made is not None else None
