"""Laws that hold for every life of a task, however it goes."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import account, catalogue, consumer, image, item, key, order, rebuild, report, task, upload, video
from domain.file import File
from domain.log import Event
from domain.outcome import Done, Error, Progress, Refused, Stopped, Stumbled
from domain.task import ENDED, Status, Task
from tests.making import KIND, NOON, asked

HISTORY = sorted(Path(__file__).with_name("history").glob("*.json"))
Decide = Callable[[Task, datetime], list[task.Event]]
ERROR = Error(type="e", detail="d")


@dataclass(frozen=True)
class Wish:
    """Somebody wants something of a task: by name, so that a failing example reads well."""

    name: str
    decide: Decide

    def __repr__(self) -> str:
        return self.name


def wish(turn: int, done: float, chance: float) -> list[Wish]:
    outcomes = (Done(result=done), Stumbled(error=ERROR), Refused(error=ERROR), Stopped())
    return [
        Wish("ask", lambda state, now: task.ask(state, asked(), now)),
        Wish("ask later", lambda state, now: task.ask(state, asked(), now, now + timedelta(minutes=1))),
        Wish("dispatch", lambda state, now: task.dispatch(state, now)),
        Wish("start", lambda state, now: task.start(state, "w")),
        Wish("report", lambda state, now: task.report(state, turn, Progress(done=done, total=1.0))),
        *(
            Wish(f"finish {turn} {end}", lambda state, now, end=end: task.finish(state, KIND, turn, end, now, chance))  # type: ignore[misc]
            for end in outcomes
        ),
        Wish(f"rescue {turn}", lambda state, now: task.rescue(state, turn)),
        Wish(f"give back {turn}", lambda state, now: task.rescue(state, turn, lost=False)),
        Wish("cancel", lambda state, now: task.cancel(state, "ops")),
        Wish("retry", lambda state, now: task.retry(state, UUID(int=9))),
    ]


wishes = st.tuples(st.integers(1, 4), st.floats(0, 1), st.floats(0, 1)).flatmap(lambda t: st.sampled_from(wish(*t)))
lives = st.lists(st.tuples(wishes, st.integers(0, 90)), max_size=40)


def lived(life: list[tuple[Wish, int]]) -> list[tuple[task.Event, datetime]]:
    told: list[tuple[task.Event, datetime]] = []
    state, now = Task(), NOON
    for one, seconds in life:
        now += timedelta(seconds=seconds)
        for event in one.decide(state, now):
            state = task.evolve(state, event, now)
            told.append((event, now))
    return told


@given(lives, wishes)
@settings(max_examples=400, deadline=None)
def test_twice_is_once(life: list[tuple[Wish, int]], one: Wish) -> None:
    told = lived(life)
    state, now = task.fold(told), told[-1][1] if told else NOON
    after = task.fold([(event, now) for event in one.decide(state, now)], state)
    assert one.decide(after, now) == []


@given(lives)
@settings(max_examples=400, deadline=None)
def test_the_end_is_the_end(life: list[tuple[Wish, int]]) -> None:
    events = [event for event, _ in lived(life)]
    ends = [n for n, event in enumerate(events) if isinstance(event, task.Completed | task.Failed | task.Cancelled)]
    assert len(ends) <= 1
    if ends:
        assert all(isinstance(event, task.Retried) for event in events[ends[0] + 1 :])
        assert len(events) <= ends[0] + 2


@given(lives)
@settings(max_examples=300, deadline=None)
def test_the_row_is_the_fold_of_the_stream(life: list[tuple[Wish, int]]) -> None:
    told = lived(life)
    state = Task()
    for number, (event, at) in enumerate(told, 1):
        state = task.evolve(state, event, at)
        assert state == task.fold(told[:number])
    assert state.version == len(told)
    assert (state.status in ENDED) == (state.finished_at is not None)
    assert (state.status is Status.IN_PROGRESS) == (state.worker is not None)
    assert state.status is not Status.SCHEDULED or state.due_at is not None


@given(lives)
@settings(max_examples=200, deadline=None)
def test_turns_rise_by_one_and_attempts_never_pass_their_cap(life: list[tuple[Wish, int]]) -> None:
    told = lived(life)
    turns = [event.turn for event, _ in told if isinstance(event, task.Started)]
    assert turns == list(range(1, len(turns) + 1))
    assert task.fold(told).stumbles < KIND.max_attempts


texts = st.text(st.characters(codec="utf-8"), max_size=30)
numbers = st.floats(allow_nan=False, allow_infinity=False)
times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(NOON.tzinfo))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
requests = st.dictionaries(texts, values, max_size=3)
errors = st.builds(Error, type=texts, detail=texts)
progresses = st.builds(Progress, done=numbers, total=numbers, unit=texts, note=texts)
askeds = st.builds(
    task.Asked, kind=texts, queue=texts, request=requests, personal=requests, max_attempts=st.integers(1, 99), by=texts,
    retry_of=st.none() | st.uuids(), needs=st.lists(st.uuids(), max_size=3).map(tuple),
)  # fmt: skip
details = st.builds(item.Details, name=texts, description=texts, price_cents=st.integers(), currency=texts)
lines = st.builds(order.Line, item=st.uuids(), name=texts, quantity=st.integers(1), price_cents=st.integers(0))
files = st.builds(File, sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True), size_bytes=st.integers(0, 2**53))
whole = st.integers(0, 2**53)
report_days = st.builds(
    report.Day, day=st.dates(), orders=whole, confirmed=whole, revenue=st.dictionaries(texts, whole, max_size=2)
)
sections = st.builds(report.Section, after=st.none() | st.uuids(), first=whole, orders=whole)
moments = st.none() | st.integers(-(2**53), 2**53)
founds = st.builds(
    video.Found, container=texts, duration_s=numbers, width=whole, height=whole, frames=whole, fps=numbers,
    variable_rate=st.booleans(), rotation=st.integers(0, 359), video_codec=texts, audio_codec=st.none() | texts,
    audio_channels=whole,
)  # fmt: skip
pieces = st.builds(
    video.Piece, frames=whole, first_us=st.integers(0, 2**53), from_us=moments, until_us=moments, seek_us=moments
)
renditions = st.builds(video.Rendition, name=texts, width=whole, height=whole, most_bits=whole)
playables = st.builds(
    video.Playable, rendition=texts, media=files, playlist=files, codecs=texts, bits=whole, mp4=st.none() | files
)
stills = st.builds(
    video.Stills, poster=files, sheet=files, columns=whole, count=whole, every_s=numbers, width=whole, height=whole
)
events: dict[Any, st.SearchStrategy[Event]] = {
    task.Queued: st.builds(task.Queued, asked=st.none() | askeds),
    task.Scheduled: st.builds(task.Scheduled, due_at=times, asked=st.none() | askeds),
    task.Waiting: st.builds(task.Waiting, due_at=st.none() | times, asked=askeds),
    task.Started: st.builds(task.Started, turn=st.integers(1), attempt=st.integers(1), worker=texts),
    task.Progressed: st.builds(task.Progressed, done=numbers, total=numbers, unit=texts, note=texts),
    task.Stumbled: st.builds(task.Stumbled, error=errors, again_at=times),
    task.Rescued: st.builds(task.Rescued, turn=st.integers(1), lost=st.booleans()),
    task.Completed: st.builds(task.Completed, result=values, progress=st.none() | progresses),
    task.Failed: st.builds(task.Failed, error=errors),
    task.CancelRequested: st.builds(task.CancelRequested, by=texts, reason=texts),
    task.Cancelled: st.builds(task.Cancelled, by=texts, reason=texts, cause=st.none() | st.uuids()),
    task.Retried: st.builds(task.Retried, task=st.uuids()),
    account.Registered: st.builds(
        account.Registered,
        email=st.from_regex(r"[a-z]{1,9}@[a-z]{1,9}\.org", fullmatch=True),
        name=st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")), min_size=1, max_size=9),
    ),
    upload.Begun: st.builds(
        upload.Begun,
        size_bytes=st.integers(0, 2**53),
        purpose=texts,
        filename=st.none() | texts,
        filetype=st.none() | texts,
        sha256=st.none() | texts,
    ),
    upload.Finished: st.builds(upload.Finished, file=files),
    upload.Rejected: st.builds(upload.Rejected, found=files),
    upload.Expired: st.just(upload.Expired()),
    upload.Terminated: st.just(upload.Terminated()),
    video.Created: st.builds(
        video.Created,
        source=files,
        upload=st.none() | st.uuids(),
        filename=st.none() | texts,
        filetype=st.none() | texts,
    ),
    video.Planned: st.builds(
        video.Planned,
        found=founds,
        pieces=st.lists(pieces, max_size=3).map(tuple),
        renditions=st.lists(renditions, max_size=2).map(tuple),
        work=files,
        preset=texts,
        reused=st.lists(playables, max_size=2).map(tuple),
        reused_stills=st.none() | stills,
        warnings=st.lists(texts, max_size=2).map(tuple),
    ),
    video.RenditionReady: st.builds(
        video.RenditionReady, playable=playables, pieces=st.lists(st.uuids(), max_size=3).map(tuple)
    ),
    video.StillsReady: st.builds(video.StillsReady, stills=stills),
    video.Completed: st.just(video.Completed()),
    video.Deleted: st.just(video.Deleted()),
    video.Removed: st.builds(
        video.Removed, tasks=st.lists(st.uuids(), max_size=3).map(tuple), upload=st.none() | st.uuids()
    ),
    image.Created: st.builds(
        image.Created,
        source=files,
        upload=st.none() | st.uuids(),
        batch=st.none() | st.uuids(),
        filename=st.none() | texts,
        filetype=st.none() | texts,
    ),
    image.Deleted: st.just(image.Deleted()),
    image.Removed: st.builds(
        image.Removed, tasks=st.lists(st.uuids(), max_size=3).map(tuple), upload=st.none() | st.uuids()
    ),
    image.Gathered: st.builds(
        image.Gathered,
        images=st.lists(st.uuids(), max_size=3).map(tuple),
        tasks=st.lists(st.uuids(), max_size=3).map(tuple),
        size_bytes=whole,
    ),
    report.Requested: st.builds(report.Requested, begin=times, end=times, position=whole, owner=st.none() | texts),
    report.Planned: st.builds(
        report.Planned,
        orders=whole,
        others=st.dictionaries(texts, whole, max_size=2),
        days=st.lists(report_days, max_size=2).map(tuple),
        sections=st.lists(sections, max_size=2).map(tuple),
    ),
    report.Completed: st.builds(
        report.Completed, file=files, pages=whole, parts=st.lists(st.uuids(), max_size=3).map(tuple)
    ),
    report.Deleted: st.just(report.Deleted()),
    report.Removed: st.builds(report.Removed, tasks=st.lists(st.uuids(), max_size=3).map(tuple)),
    item.Created: st.builds(item.Created, details=details),
    item.Changed: st.builds(item.Changed, before=details, after=details),
    item.Deleted: st.builds(item.Deleted, before=details),
    order.Created: st.builds(
        order.Created,
        account=st.uuids(),
        lines=st.lists(lines, max_size=3).map(tuple),
        total_cents=st.integers(),
        currency=texts,
        notify=st.none() | texts,
    ),
    order.Confirmed: st.builds(order.Confirmed),
    order.Recorded: st.builds(order.Recorded, total_cents=st.integers(), currency=texts),
    consumer.Added: st.builds(consumer.Added, name=texts, filter=texts),
    consumer.Removed: st.builds(consumer.Removed, name=texts),
    key.Issued: st.builds(key.Issued, name=texts, scope=texts),
    key.Rotated: st.builds(key.Rotated, grace_s=numbers),
    key.Revoked: st.builds(key.Revoked),
    rebuild.Rebuilt: st.builds(
        rebuild.Rebuilt, name=texts, position=st.integers(min_value=0), differences=st.integers(min_value=0)
    ),
}


def test_every_event_is_in_the_catalogue_and_in_these_laws() -> None:
    assert set(catalogue.TYPES.values()) == set(events) == set(get_args(Event))
    assert set(catalogue.VERSIONS) | {name for name, _ in catalogue.UPCASTERS} <= set(catalogue.TYPES)


@pytest.mark.parametrize("kind", events, ids=lambda kind: catalogue.NAMES[kind])
def test_what_was_written_is_read_again(kind: Any) -> None:
    @given(events[kind])
    @settings(max_examples=40, deadline=None)
    def law(event: Event) -> None:
        name, data, personal = catalogue.dump(event)
        assert catalogue.load(name, catalogue.version_of(name), data, personal) == event

    law()


@given(askeds.filter(lambda one: bool(one.personal)))
@settings(max_examples=60, deadline=None)
def test_personal_data_is_stored_apart(one: task.Asked) -> None:
    _, data, personal = catalogue.dump(task.Queued(asked=one))
    assert personal is not None and msgspec.json.decode(personal) == one.personal
    assert "personal" not in msgspec.json.decode(data)["asked"]


@pytest.mark.parametrize("path", HISTORY, ids=lambda path: path.stem)
def test_rows_of_the_past_are_read_as_of_today(path: Path) -> None:
    row = json.loads(path.read_text())
    personal = None if row["personal"] is None else json.dumps(row["personal"])
    event = catalogue.load(row["name"], row["name_version"], json.dumps(row["data"]), personal)
    assert event == msgspec.convert(row["now"], catalogue.TYPES[row["name"]])


def test_every_version_of_every_event_has_a_row_of_the_past_where_it_changed() -> None:
    told = {(row["name"], row["name_version"]) for row in (json.loads(path.read_text()) for path in HISTORY)}
    assert {(name, v) for name, last in catalogue.VERSIONS.items() for v in range(1, last + 1)} <= told


@pytest.mark.parametrize(("name", "version"), [("task.queued", 2), ("task.progressed", 3), ("task.vanished", 1)])
def test_the_future_is_refused_and_never_skipped(name: str, version: int) -> None:
    with pytest.raises(catalogue.UnknownEvent, match=f"{name} version {version}"):
        catalogue.load(name, version, "{}", None)
