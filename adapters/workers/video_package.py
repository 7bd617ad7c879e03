"""Joins the pieces of a rendition and the sound: from then on it can be played."""

from collections.abc import Mapping
from uuid import UUID

import msgspec

from adapters.tools.ffmpeg import codecs_of
from adapters.tools.shelf import Bench
from adapters.workers.films import Studio, planned
from domain import transcoding, video
from domain.file import File
from domain.job import Job, Work
from domain.outcome import Done, Error, Outcome, Refused
from domain.task import Task
from domain.video import Planned, Playable, Rendition, Video

SOUND_BITS = 128_000
REST = 1.1  # what containers and peaks take


def video_package(studio: Studio) -> Work:
    """The worker with its tools."""

    async def work(request: transcoding.OfRendition, job: Job) -> Outcome:
        async def step(_: Video, plan: Planned) -> Outcome:
            rendition = next((one for one in plan.renditions if one.name == request.rendition), None)
            if rendition is None:
                return Refused(error=Error(type="no_rendition", detail="The plan has no such rendition."))
            needed = await studio.needs(job.id)
            operation = transcoding.package_of(plan, rendition)
            made = await studio.shelf.made(plan.work.sha256, operation)
            if made is not None:
                playable = msgspec.convert(made["playable"], Playable)
            else:
                async with studio.shelf.bench(job.id) as bench:
                    await _lay_out(studio, bench, needed)
                    playable = await _packed(studio, bench, plan, rendition)
            pieces = [id for id, state in needed.items() if state.kind == transcoding.SEGMENT.name]
            await studio.films.ready(request.video, playable, pieces, job.meta)
            return Done(
                result=transcoding.Package(
                    source=plan.work.sha256, operation=operation, files=video.files_of(playable), playable=playable
                )
            )

        return await planned(studio, request.video, step)

    return work


async def _lay_out(studio: Studio, bench: Bench, needed: Mapping[UUID, Task]) -> None:
    """The files of the tasks that it needed, where the joining expects them."""
    for state in needed.values():
        [file] = msgspec.convert(state.result["files"], tuple[File, ...])
        name = f"{state.request['piece']}.mp4" if state.kind == transcoding.SEGMENT.name else "sound.m4a"
        await studio.shelf.fetch(file, bench.given / name)


async def _packed(studio: Studio, bench: Bench, plan: Planned, rendition: Rendition) -> Playable:
    sound = plan.found.audio_codec is not None
    media, playlist, whole = await studio.ffmpeg.package(
        bench.given, bench.made, plan, best=rendition == plan.renditions[-1]
    )
    codecs = codecs_of(media, sound)
    kept = await studio.shelf.keep(*filter(None, (media, playlist, whole)))
    return Playable(
        rendition=rendition.name,
        media=kept[0],
        playlist=kept[1],
        codecs=codecs,
        bits=int(REST * (rendition.most_bits + (SOUND_BITS if sound else 0))),
        mp4=kept[2] if whole is not None else None,
    )
