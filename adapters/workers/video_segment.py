"""Codes one piece of the picture. The end of this task is a checkpoint: nobody does this piece again."""

from adapters.workers.films import Studio, planned
from domain import transcoding
from domain.job import Job, Work
from domain.outcome import Done, Error, Outcome, Refused
from domain.video import Planned, Video


def video_segment(studio: Studio) -> Work:
    """The worker with its tools."""

    async def work(request: transcoding.OfPiece, job: Job) -> Outcome:
        async def step(_: Video, plan: Planned) -> Outcome:
            rendition = next((one for one in plan.renditions if one.name == request.rendition), None)
            if rendition is None or not 0 <= request.piece < len(plan.pieces):
                return Refused(error=Error(type="no_piece", detail="The plan has no such piece."))
            piece = plan.pieces[request.piece]
            operation = transcoding.segment_of(plan, rendition, piece)
            if (made := await studio.shelf.made(plan.work.sha256, operation)) is not None:
                return Done(result=made)
            async with studio.shelf.source(plan.work) as opened, studio.shelf.bench(job.id) as bench:
                path, frames = await studio.ffmpeg.segment(
                    opened(), bench.made, plan, rendition, piece, lambda done: job.report(done, piece.frames, "frames")
                )
                [file] = await studio.shelf.keep(path)
            of = plan.work.sha256
            return Done(result=transcoding.Segment(source=of, operation=operation, files=(file,), frames=frames))

        return await planned(studio, request.video, step)

    return work
