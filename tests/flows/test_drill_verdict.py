"""Does the drill's verdict see what is wrong? Evidence of a good campaign, and each time one thing of it spoilt."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from infra.drill.intents import Answered, Heard, Intent
from infra.drill.verdict import Arrival, Evidence, Line, Struck, judge, lives_of, recoveries

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
PROBE, MAIL, NOTICE, LATER = "probe-1", "mail-1", "notice-1", "probe-2"


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def id_at(position: int, seconds: float) -> str:
    """A UUIDv7 of that moment."""
    milliseconds = int(at(seconds).timestamp() * 1_000)
    return str(UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | position))


def intent(number: int, story: str, body: Any = None) -> Intent:
    return Intent(number, story, f"key-{number}", "/v1/tasks", body, at(0))


def life(position: int, task: str, kind: str, request: Any, result: Any, begun: float, ended: float) -> list[Line]:
    asked = {"asked": {"kind": kind, "request": request}}
    done = {"result": result}
    return [
        Line(position, id_at(position, begun), f"task-{task}", "task.queued", at(begun), asked),
        Line(position + 1, id_at(position + 1, ended), f"task-{task}", "task.completed", at(ended), done),
    ]


ASKED = {"payload": {"drill": 1}}
GAVE_UP = {"payload": {"drill": 3}}
GOOD = Evidence(
    intents=[
        intent(1, "probe", {"kind": "probe", "request": ASKED}),
        intent(2, "account", {}),
        intent(3, "probe", {"kind": "probe", "request": GAVE_UP}),
        intent(4, "poison", {}),
    ],
    heard={
        1: Heard(1, Answered.OK, 202, (PROBE,)),
        2: Heard(2, Answered.OK, 201, (MAIL,)),
        3: Heard(3, Answered.UNKNOWN),
        4: Heard(4, Answered.REFUSED, 422),
    },
    lines=[
        *life(1, PROBE, "probe", ASKED, ASKED | {"attempt": 1}, 1, 2),
        *life(3, MAIL, "email_welcome", {}, {"message_id": f"<task-{MAIL}@x>"}, 1, 30),
        *life(5, LATER, "probe", GAVE_UP, GAVE_UP | {"attempt": 2}, 1, 40),
    ],
    arrivals=[Arrival("email", f"<task-{MAIL}@x>", MAIL, at(29))],
    struck=[Struck("kill:worker", at(10), at(12), frozenset({"email"}))],
    statuses={202: 2, 422: 1, 503: 4},
    seen_live={1: id_at(1, 1), 2: id_at(2, 2)},
    things={},
    broken=[],
    failed=[],
)


def without(*positions: int) -> Callable[[Evidence], Evidence]:
    def change(one: Evidence) -> Evidence:
        kept = [line for line in one.lines if line.position not in positions]
        dense = [replace(line, position=number) for number, line in enumerate(kept, 1)]
        return replace(one, lines=dense, seen_live={1: dense[0].id})

    return change


def with_lines(*lines: Line) -> Callable[[Evidence], Evidence]:
    return lambda one: replace(one, lines=[*one.lines, *lines])


def with_arrivals(*arrivals: Arrival) -> Callable[[Evidence], Evidence]:
    return lambda one: replace(one, arrivals=[*one.arrivals, *arrivals])


def changed(**fields: Any) -> Callable[[Evidence], Evidence]:
    return lambda one: replace(one, **fields)


AGAIN = Arrival("email", f"<task-{MAIL}@x>", MAIL, at(29.5))
SECOND = Line(7, id_at(7, 50), f"task-{PROBE}", "task.failed", at(50), {})
SPOILT: list[tuple[str, Callable[[Evidence], Evidence]]] = [
    ("lost", without(1, 2)),
    ("stuck", without(6)),
    (
        "wrong_result",
        changed(lines=[*life(1, PROBE, "probe", ASKED, {"payload": "other", "attempt": 1}, 1, 2), *GOOD.lines[2:]]),
    ),
    ("thing_incomplete", changed(things={"video-1": "video in_progress"})),
    ("second_visible_result", with_lines(SECOND)),
    ("phantom_task", with_lines(*life(7, "nobody", "image_sizes", {}, {}, 1, 2))),
    ("phantom_effect", with_arrivals(Arrival("webhook", "nobody", "nobody", at(5)))),
    ("missing_effect", changed(arrivals=[])),
    (
        "unknown_taken_twice",
        with_lines(*life(7, "probe-3", "probe", GAVE_UP, GAVE_UP | {"attempt": 1}, 1, 2)),
    ),
    ("duplicate_unexplained", lambda one: with_arrivals(AGAIN)(replace(one, struck=[]))),
    ("status_not_allowed", changed(statuses={500: 1})),
    ("poison_taken", changed(heard=GOOD.heard | {4: Heard(4, Answered.OK, 202, ("probe-4",))})),
    ("refused_wrongly", changed(heard=GOOD.heard | {3: Heard(3, Answered.REFUSED, 401)}, lines=GOOD.lines[:4])),
    ("log_told_otherwise", changed(seen_live={1: "another"})),
    ("never_answered", changed(intents=[*GOOD.intents, intent(5, "account", {})])),
    ("invariant_broken", changed(broken=["row = fold of its stream: …"])),
    ("fault_failed", changed(failed=["7 kill:relay: there was none"])),
]


def test_a_good_campaign_is_good() -> None:
    verdict = judge(GOOD)
    assert (verdict.good, verdict.wrong) == (True, {name: [] for name, _ in SPOILT})
    assert verdict.figures["tasks_by_kind"] == {"probe": 2, "email_welcome": 1}


@pytest.mark.parametrize(("name", "spoil"), SPOILT, ids=[name for name, _ in SPOILT])
def test_what_is_wrong_is_named_and_nothing_else(name: str, spoil: Callable[[Evidence], Evidence]) -> None:
    verdict = judge(spoil(GOOD))
    assert not verdict.good
    assert [each for each, found in verdict.wrong.items() if found] == [name]


def test_what_follows_from_a_thing_follows_once() -> None:
    first, again = ((number, f"sound-{number}") for number in (7, 9))
    lives = [life(position, task, "video_sound", {"video": "v"}, {}, 1, 2) for position, task in (first, again)]
    good = replace(GOOD, things={"v": "video complete"})
    assert judge(with_lines(*lives[0])(good)).good
    assert judge(with_lines(*lives[0], *lives[1])(good)).wrong["phantom_task"]


def test_a_log_with_a_hole_is_not_whole() -> None:
    spoilt = replace(GOOD, lines=[replace(line, position=line.position + (line.position > 3)) for line in GOOD.lines])
    assert judge(spoilt).wrong["log_told_otherwise"]


def test_who_read_the_log_meanwhile_was_told_of_every_position() -> None:
    assert judge(replace(GOOD, seen_live={1: id_at(1, 1), 3: id_at(3, 1)})).wrong["log_told_otherwise"]
    assert judge(replace(GOOD, seen_live={})).wrong["log_told_otherwise"]


def test_a_duplicate_that_a_fault_explains_is_counted() -> None:
    near = replace(GOOD, struck=[Struck("answer-lost:smtp", at(29.2), at(31), frozenset({"email"}))])
    verdict = judge(with_arrivals(AGAIN)(near))
    assert (verdict.good, verdict.figures["duplicates_explained"]) == (True, 1)
    elsewhere = replace(near, struck=[replace(near.struck[0], touches=frozenset({"webhook"}))])
    assert judge(with_arrivals(AGAIN)(elsewhere)).wrong["duplicate_unexplained"]


def test_recovery_is_the_time_until_every_task_has_moved_that_was_open() -> None:
    lives = lives_of(GOOD.lines).values()
    assert recoveries(lives, GOOD.struck) == [28.0]
    assert recoveries(lives, [Struck("late", at(50), at(51), frozenset())]) == [0.0]
