"""Is the thinking about videos right?"""

from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain import holds, making, reactions, removal, task, transcoding, video
from domain.file import File
from domain.log import Fact, Recorded, stream_of
from domain.making import State
from domain.outcome import Error
from domain.task import Task
from domain.video import Found, Piece, Planned, Playable, Rendition, Stills, Video
from infra.clock import new_id
from tests.making import META, NOON, asked

ID = UUID(int=7)
FOUND = Found(
    container="mov", duration_s=12.0, width=1280, height=720, frames=300, fps=25.0, variable_rate=False, rotation=0,
    video_codec="h264", audio_codec="aac", audio_channels=2,
)  # fmt: skip
SMALL, LARGE = (Rendition(name=f"{side}p", width=2 * side, height=side, most_bits=1_000) for side in (360, 720))
PIECES = (Piece(frames=150, first_us=0, until_us=6_000_000), Piece(frames=150, first_us=6_020_000, from_us=6_000_000))


def file(number: int) -> File:
    return File(sha256=f"{number:064x}", size_bytes=number)


SOURCE = file(1)
STILLS = Stills(poster=file(8), sheet=file(9), columns=10, count=12, every_s=1.0, width=160, height=90)


def playable(rendition: Rendition, number: int = 2) -> Playable:
    return Playable(rendition=rendition.name, media=file(number), playlist=file(number + 1), codecs="avc1", bits=1)


def planned(**more: Any) -> Planned:
    return Planned(
        **{"found": FOUND, "pieces": PIECES, "renditions": (SMALL, LARGE), "work": SOURCE, "preset": "fast"} | more
    )


def given(*events: video.Event) -> Video:
    return video.fold((event, NOON) for event in events)


CREATED = video.Created(source=SOURCE, upload=UUID(int=5))


def fact(event: Any, stream: str = stream_of("video", ID)) -> Fact:
    return Fact(new_id(), stream, 1, NOON, event, META, "events.v1.video.x.y")


def test_it_is_created_planned_and_complete_when_all_is_there() -> None:
    found = given(CREATED, planned())
    assert video.plan(found, planned()) == [], "the first plan counts"
    events = video.ready(found, playable(SMALL), [UUID(int=1)])
    assert events == [video.RenditionReady(playable=playable(SMALL), pieces=(UUID(int=1),))]
    found = given(CREATED, planned(), *events, video.StillsReady(stills=STILLS))
    assert video.ready(found, playable(SMALL), []) == [], "twice is once"
    assert video.show(found, STILLS) == []
    events = video.ready(found, playable(LARGE), [])
    assert events == [video.RenditionReady(playable=playable(LARGE)), video.Completed()]
    assert not given(CREATED, planned(), *events).works


def test_what_was_made_before_of_the_same_bytes_is_not_made_again() -> None:
    some = planned(reused=(playable(SMALL),))
    assert video.plan(given(CREATED), some) == [some]
    kinds = [one.kind for one in reactions.follow(fact(some))]
    assert kinds == ["video_sound", "video_stills", "video_segment", "video_segment", "video_package"]
    everything = planned(reused=(playable(SMALL), playable(LARGE)), reused_stills=STILLS)
    assert video.plan(given(CREATED), everything) == [everything, video.Completed()]
    assert reactions.follow(fact(everything)) == []


def test_a_plan_sets_off_every_piece_of_every_rendition_and_what_joins_them() -> None:
    follow = reactions.follow(plan := fact(planned()))
    assert follow == reactions.follow(plan), "the same fact causes the same tasks"
    assert len({one.id for one in follow}) == len(follow) == 1 + 1 + 2 * (2 + 1)
    [sound] = [one.id for one in follow if one.kind == transcoding.SOUND.name]
    for name in ("360p", "720p"):
        of_it = [one for one in follow if one.request.get("rendition") == name]
        *pieces, package = of_it
        assert [one.request["piece"] for one in pieces] == [0, 1] and not any(one.needs for one in pieces)
        assert package.needs == (*(one.id for one in pieces), sound)
    silent = replace(FOUND, audio_codec=None)
    assert not [one for one in reactions.follow(fact(planned(found=silent))) if one.kind == transcoding.SOUND.name]


def test_a_deleted_video_takes_nothing_more_and_is_removed_once() -> None:
    found = given(CREATED, planned(), video.Deleted())
    assert video.ready(found, playable(SMALL), []) == video.show(found, STILLS) == video.delete(found) == []
    assert video.plan(given(CREATED, video.Deleted()), planned()) == []
    [removed] = video.remove(found, [UUID(int=1)])
    assert removed == video.Removed(tasks=(UUID(int=1),), upload=CREATED.upload)
    assert video.remove(given(CREATED, video.Deleted(), removed), []) == []
    assert video.remove(given(CREATED), []) == [], "only what was deleted is removed"
    assert [one.kind for one in reactions.follow(fact(video.Deleted()))] == [removal.KIND.name]


@pytest.mark.parametrize(
    ("width", "height", "sides", "made"),
    [
        (1920, 1080, (360, 720, 1080), [("360p", 640, 360), ("720p", 1280, 720), ("1080p", 1920, 1080)]),
        (1280, 720, (360, 720, 1080), [("360p", 640, 360), ("720p", 1280, 720)]),
        (720, 1280, (360, 1080), [("360p", 360, 640)]),
        (320, 181, (360, 720), [("181p", 320, 180)]),
        (1001, 401, (400,), [("400p", 998, 400)]),
        (7, 3, (360,), [("3p", 8, 4)]),
    ],
)
def test_no_rendition_blows_the_picture_up(width: int, height: int, sides: tuple[int, ...], made: Any) -> None:
    found = Found(
        **{name: getattr(FOUND, name) for name in FOUND.__struct_fields__} | {"width": width, "height": height}
    )
    assert [(one.name, one.width, one.height) for one in video.renditions(found, sides)] == made


def test_files_are_kept_as_long_as_somebody_needs_them() -> None:
    piece, other = UUID(int=11), UUID(int=12)
    done = task.Completed(result={"files": [{"sha256": file(4).sha256, "size_bytes": 4}, {"sha256": "x"}, 3]})
    history = [
        fact(CREATED),
        fact(planned(work=file(2), reused=(playable(SMALL, 20),), reused_stills=STILLS)),
        fact(done, stream_of("task", piece)),
        fact(done, stream_of("task", other)),
        fact(video.RenditionReady(playable=playable(LARGE), pieces=(piece,))),
    ]
    released, held = holds.changes([Recorded(None, one) for one in history])
    assert released == {stream_of("task", piece)}
    of_video = {one.sha256 for one in held if one.stream == stream_of("video", ID)}
    assert of_video == {file(number).sha256 for number in (1, 2, 3, 20, 21, 8, 9)}
    assert {one for one in held if one.stream != stream_of("video", ID)} == {
        holds.Hold(stream_of("task", other), file(4).sha256)
    }
    gone = fact(video.Removed(tasks=(other,), upload=UUID(int=5)))
    released, held = holds.changes([Recorded(None, one) for one in [*history, gone]])
    assert held == set()
    assert released >= {stream_of("video", ID), stream_of("task", other), stream_of("upload", UUID(int=5))}


def lived(kind: str, *events: task.Event, **request: Any) -> Task:
    first = asked()
    first = task.Asked(kind=kind, queue="media", request=request, max_attempts=first.max_attempts, by="client")
    return task.fold([(event, NOON) for event in (task.Queued(asked=first), *events)])


STARTED = task.Started(turn=1, attempt=1, worker="w")
DONE = (STARTED, task.Completed(result={}))
FAILED = (STARTED, task.Failed(error=Error(type="not_a_film", detail="It is none.")))
HALF = (STARTED, task.Progressed(done=75, total=150))


@pytest.mark.parametrize(
    ("events", "lives", "status", "progress"),
    [
        ((CREATED,), [("video_probe", ())], State.QUEUED, 0.0),
        ((CREATED,), [("video_probe", (STARTED,))], State.IN_PROGRESS, 0.0),
        ((CREATED,), [("video_probe", FAILED)], State.FAILED, 0.0),
        ((CREATED,), [("video_probe", (task.Cancelled(by="c"),))], State.CANCELLED, 0.0),
        ((CREATED, planned()), [("video_segment", DONE), ("video_segment", HALF)], State.IN_PROGRESS, 0.7525),
        ((CREATED, planned()), [("video_segment", FAILED), ("video_segment", ())], State.IN_PROGRESS, 0.01),
        ((CREATED, planned()), [("video_segment", FAILED), ("video_segment", DONE)], State.FAILED, 0.505),
        ((CREATED, planned(), video.Completed()), [], State.COMPLETE, 1.0),
    ],
)
def test_how_far_it_is_its_tasks_tell(events: Any, lives: Any, status: State, progress: float) -> None:
    tasks = {UUID(int=number): lived(kind, *life) for number, (kind, life) in enumerate(lives)}
    told = making.told(given(*events), tasks)
    assert (told.status, told.progress) == (status, progress)
    assert (told.error is not None) == any(life == FAILED for _, life in lives)


def test_a_task_that_was_retried_counts_no_more() -> None:
    again = UUID(int=2)
    failed = lived("video_probe", *FAILED, task.Retried(task=again))
    told = making.told(given(CREATED), {UUID(int=1): failed, again: lived("video_probe", STARTED)})
    assert (told.status, told.error) == (State.IN_PROGRESS, None)


def test_each_rendition_tells_of_itself() -> None:
    ready = video.RenditionReady(playable=playable(SMALL))
    tasks = {
        UUID(int=number): lived("video_segment", *life, rendition="720p") for number, life in enumerate((DONE, HALF))
    }
    [small, large] = making.told(given(CREATED, planned(), ready), tasks).renditions
    assert (small.status, small.progress) == (State.COMPLETE, 1.0)
    assert (large.status, large.progress) == (State.IN_PROGRESS, 0.75)
