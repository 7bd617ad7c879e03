"""Ends all that works for a deleted video, and lets go of its files."""

from adapters.workers.films import Films
from domain import transcoding
from domain.job import Job, Work
from domain.outcome import Done, Outcome


def video_remove(films: Films) -> Work:
    """The worker with its tool."""

    async def work(request: transcoding.OfVideo, job: Job) -> Outcome:
        return Done(result=transcoding.Gone(cancelled=await films.remove(request.video, job.meta)))

    return work
