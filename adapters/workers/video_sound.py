"""Codes all of the sound, in one piece."""

from adapters.workers.films import Studio, planned
from domain import transcoding
from domain.job import Job, Work
from domain.outcome import Done, Outcome
from domain.video import Planned, Video


def video_sound(studio: Studio) -> Work:
    """The worker with its tools."""

    async def work(request: transcoding.OfVideo, job: Job) -> Outcome:
        async def step(_: Video, plan: Planned) -> Outcome:
            of, operation, whole = plan.work.sha256, transcoding.sound_of(), plan.found.duration_s
            if (made := await studio.shelf.made(of, operation)) is not None:
                return Done(result=made)
            async with studio.shelf.source(plan.work) as opened, studio.shelf.bench(job.id) as bench:
                path = await studio.ffmpeg.sound(
                    opened(), bench.made, plan, lambda micro: job.report(micro / 1e6, whole, "s")
                )
                [file] = await studio.shelf.keep(path)
            return Done(result=transcoding.Sound(source=of, operation=operation, files=(file,)))

        return await planned(studio, request.video, step)

    return work
