"""Takes the poster of a video, and a sheet of thumbnails."""

import msgspec

from adapters.workers.films import Studio, planned
from domain import transcoding
from domain.job import Job, Work
from domain.outcome import Done, Outcome
from domain.video import Planned, Stills, Video


def video_stills(studio: Studio) -> Work:
    """The worker with its tools."""

    async def work(request: transcoding.OfVideo, job: Job) -> Outcome:
        async def step(_: Video, plan: Planned) -> Outcome:
            of, operation = plan.work.sha256, transcoding.stills_of()
            made = await studio.shelf.made(of, operation)
            stills = msgspec.convert(made["stills"], Stills) if made is not None else await _taken(studio, plan, job)
            await studio.films.show(request.video, stills, job.meta)
            files = (stills.poster, stills.sheet)
            return Done(result=transcoding.Shown(source=of, operation=operation, files=files, stills=stills))

        return await planned(studio, request.video, step)

    return work


async def _taken(studio: Studio, plan: Planned, job: Job) -> Stills:
    async with studio.shelf.source(plan.work) as opened, studio.shelf.bench(job.id) as bench:
        poster, sheet, laid = await studio.ffmpeg.stills(opened, bench.made, plan)
        first, second = await studio.shelf.keep(poster, sheet)
        return Stills(
            poster=first,
            sheet=second,
            columns=laid.columns,
            count=laid.count,
            every_s=laid.every_s,
            width=laid.width,
            height=laid.height,
        )
