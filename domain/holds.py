"""What keeps files: a file that no stream holds may go. A fold of the log."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from uuid import UUID

from domain import image, report, task, upload, video
from domain.file import is_sha256
from domain.log import Fact, Recorded, stream_of


class Hold(NamedTuple):
    """The stream of a thing for whose sake a file is kept."""

    stream: str
    sha256: str


def changes(recorded: Iterable[Recorded]) -> tuple[set[str], set[Hold]]:
    """The streams that hold nothing of what they held before these facts, and what is held by them."""
    released: set[str] = set()
    held: set[Hold] = set()
    for fact in (one.fact for one in recorded):
        gone = set(_released(fact))
        released |= gone
        held = {one for one in held if one.stream not in gone}
        held |= {Hold(fact.stream, sha256) for sha256 in _held(fact)}
    return released, held


def _held(fact: Fact) -> Iterator[str]:
    """The files that the stream of the fact holds from now on."""
    match fact.event:
        case upload.Finished(file=file):
            yield file.sha256
        case video.Created(source=file) | image.Created(source=file):
            yield file.sha256
        case video.Planned(work=work, reused=reused, reused_stills=stills):
            yield work.sha256
            yield from (file.sha256 for one in reused for file in video.files_of(one))
            if stills is not None:
                yield from (stills.poster.sha256, stills.sheet.sha256)
        case video.RenditionReady(playable=playable):
            yield from (file.sha256 for file in video.files_of(playable))
        case video.StillsReady(stills=stills):
            yield from (stills.poster.sha256, stills.sheet.sha256)
        case report.Completed(file=file):
            yield file.sha256
        case task.Completed(result=result):
            yield from of_result(result)
        case _:
            pass


def of_result(result: Any) -> Iterator[str]:
    """What a result names as its `files`: any kind may do so, and they are kept with its task."""
    files = result.get("files") if isinstance(result, dict) else None
    for one in files if isinstance(files, list) else ():
        if isinstance(one, dict) and is_sha256(one.get("sha256")):
            yield one["sha256"]


def _released(fact: Fact) -> Iterator[str]:
    """The streams that hold nothing any more."""
    match fact.event:
        case upload.Terminated():
            yield fact.stream
        case video.RenditionReady(pieces=pieces):
            yield from _streams("task", pieces)
        case report.Completed(parts=parts):
            yield from _streams("task", parts)
        case report.Removed(tasks=tasks):
            yield fact.stream
            yield from _streams("task", tasks)
        case video.Removed(tasks=tasks, upload=upload_id) | image.Removed(tasks=tasks, upload=upload_id):
            yield fact.stream
            yield from _streams("task", tasks)
            if upload_id is not None:
                yield stream_of("upload", upload_id)
        case _:
            pass


def _streams(category: str, ids: Iterable[UUID]) -> Iterator[str]:
    return (stream_of(category, id) for id in ids)
