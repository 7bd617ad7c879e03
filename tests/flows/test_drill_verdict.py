"""Does the drill's verdict see what is wrong? Evidence of a good campaign, and each time one thing of it spoilt."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from infra.drill.effects import duplicates
from infra.drill.evidence import Arrival, Evidence, Line, Live, Struck, lives_of
from infra.drill.findings import of_check
from infra.drill.intents import Answered, Heard, Intent
from infra.drill.recovery import Recovery, figures, recoveries, told
from infra.drill.verdict import FORGING, judge

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
        Line(position, id_at(position, begun), f"task-{task}", "task.queued", asked),
        Line(position + 1, id_at(position + 1, ended), f"task-{task}", "task.completed", done),
    ]


ASKED = {"payload": {"drill": 1}}
GAVE_UP = {"payload": {"drill": 3}}
ADA = {"email": "ada@example.com", "name": "Ada"}
WELCOME = "ada@example.com: Welcome, Ada"
GOOD = Evidence(
    intents=[
        intent(1, "probe", {"kind": "probe", "request": ASKED}),
        intent(2, "account", ADA),
        intent(3, "probe", {"kind": "probe", "request": GAVE_UP}),
        intent(4, "poison", {}),
    ],
    heard={
        1: Heard(1, Answered.OK, 202, (PROBE,), PROBE),
        2: Heard(2, Answered.OK, 201, (MAIL,), "ada"),
        3: Heard(3, Answered.UNKNOWN),
        4: Heard(4, Answered.REFUSED, 422),
    },
    lines=[
        *life(1, PROBE, "probe", ASKED, ASKED | {"attempt": 1}, 1, 2),
        *life(3, MAIL, "email_welcome", {}, {"message_id": f"<task-{MAIL}@x>"}, 1, 30),
        *life(5, LATER, "probe", GAVE_UP, GAVE_UP | {"attempt": 2}, 1, 40),
        Line(7, id_at(7, 1), "account-ada", "account.registered", {}),
    ],
    arrivals=[Arrival("email", f"<task-{MAIL}@x>", MAIL, WELCOME, at(29))],
    struck=[Struck("kill:worker", at(10), at(12), frozenset({"email"}))],
    statuses={202: 2, 422: 1, 503: 4},
    seen_live={1: id_at(1, 1), 2: id_at(2, 2)},
    subscribed=[Live(1, id_at(1, 1), at(2)), Live(7, id_at(7, 1), at(3))],
    files=0,
    torn=[],
    things={},
    broken=[],
    broken_meanwhile=[],
    beyond=[],
    unquiet=[],
    failed=[],
)


def without(*positions: int) -> Callable[[Evidence], Evidence]:
    def change(one: Evidence) -> Evidence:
        kept = [line for line in one.lines if line.position not in positions]
        dense = [replace(line, position=number) for number, line in enumerate(kept, 1)]
        return replace(one, lines=dense, seen_live={1: dense[0].id}, subscribed=[Live(1, dense[0].id, at(2))])

    return change


def with_lines(*lines: Line) -> Callable[[Evidence], Evidence]:
    return lambda one: replace(one, lines=[*one.lines, *lines])


def with_arrivals(*arrivals: Arrival) -> Callable[[Evidence], Evidence]:
    return lambda one: replace(one, arrivals=[*one.arrivals, *arrivals])


def changed(**fields: Any) -> Callable[[Evidence], Evidence]:
    return lambda one: replace(one, **fields)


AGAIN = Arrival("email", f"<task-{MAIL}@x>", MAIL, WELCOME, at(29.5))
SECOND = Line(8, id_at(8, 50), f"task-{PROBE}", "task.failed", {})
NOBODYS = Line(8, id_at(8, 1), "order-nobody", "order.created", {})
OF_LATER = [*life(5, LATER, "probe", GAVE_UP, {"payload": "other", "attempt": 2}, 1, 40)]
HARMLESS = Struck("kill:reader", at(28), at(29), frozenset())
NO_TASK, NOT_ALLOWED = {1: Heard(1, Answered.OK, 202, (), "x")}, {3: Heard(3, Answered.REFUSED, 401)}
SPOILT: list[tuple[str, Callable[[Evidence], Evidence]]] = [
    ("lost", without(1, 2)),
    ("lost", without(7)),
    ("wrong_answer", lambda one: replace(without(1, 2)(one), heard=one.heard | NO_TASK)),
    ("stuck", without(6)),
    (
        "wrong_result",
        changed(lines=[*life(1, PROBE, "probe", ASKED, {"payload": "other", "attempt": 1}, 1, 2), *GOOD.lines[2:]]),
    ),
    ("wrong_result", changed(lines=[*GOOD.lines[:4], *OF_LATER, GOOD.lines[6]])),
    ("thing_incomplete", changed(things={"video-1": "video in_progress"})),
    ("file_torn", changed(torn=["files/e3b0"])),
    ("second_visible_result", with_lines(SECOND)),
    ("phantom_task", with_lines(*life(8, "nobody", "image_sizes", {}, {}, 1, 2))),
    ("phantom_thing", with_lines(NOBODYS)),
    ("phantom_effect", with_arrivals(Arrival("webhook", "nobody", "nobody", "", at(5)))),
    ("missing_effect", changed(arrivals=[])),
    ("wrong_effect", changed(arrivals=[replace(GOOD.arrivals[0], about="eve@example.com: Welcome, Ada")])),
    (
        "unknown_taken_twice",
        with_lines(*life(8, "probe-3", "probe", GAVE_UP, GAVE_UP | {"attempt": 1}, 1, 2)),
    ),
    ("duplicate_unexplained", lambda one: with_arrivals(AGAIN)(replace(one, struck=[HARMLESS]))),
    ("status_not_allowed", changed(statuses={500: 1})),
    ("poison_taken", changed(heard=GOOD.heard | {4: Heard(4, Answered.OK, 202, ("probe-4",))})),
    (
        "refused_wrongly",
        lambda one: replace(without(5, 6)(one), heard=one.heard | {3: Heard(3, Answered.REFUSED, 401)}),
    ),
    ("log_told_otherwise", changed(seen_live={1: "another"})),
    ("stream_told_otherwise", changed(subscribed=[Live(2, id_at(1, 1), at(2))])),
    ("stream_told_otherwise", changed(subscribed=[])),
    ("never_answered", changed(intents=[*GOOD.intents, intent(5, "account", ADA)])),
    ("invariant_broken", changed(broken=["row = fold of its stream: …"])),
    ("invariant_broken_meanwhile", changed(broken_meanwhile=["12:00:00 the ledger is dense: 1"])),
    ("grown_without_end", changed(beyond=["memory of api: 600 MiB"])),
    ("fault_failed", lambda one: replace(one, struck=[])),
    ("never_quiet", changed(unquiet=["reader audit is at 3 of 7"])),
    ("fault_failed", changed(failed=["7 kill:relay: there was none"])),
]


def test_a_good_campaign_is_good() -> None:
    verdict = judge(GOOD)
    assert (verdict.good, verdict.wrong) == (
        True,
        {name: [] for name in ("out_of_order", *(name for name, _ in SPOILT))},
    )
    assert verdict.figures["tasks_by_kind"] == {"probe": 2, "email_welcome": 1}


@pytest.mark.parametrize(("name", "spoil"), SPOILT, ids=[f"{number} {name}" for number, (name, _) in enumerate(SPOILT)])
def test_what_is_wrong_is_named_and_nothing_else(name: str, spoil: Callable[[Evidence], Evidence]) -> None:
    verdict = judge(spoil(GOOD))
    assert not verdict.good
    assert [each for each, found in verdict.wrong.items() if found] == [name]


def test_what_follows_from_a_thing_follows_once() -> None:
    first, again = ((number, f"sound-{number}") for number in (8, 10))
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


def told_of(*facts: tuple[float, str]) -> list[Line]:
    return [Line(8 + n, id_at(8 + n, when), f"task-{MAIL}", f"task.{name}", {}) for n, (when, name) in enumerate(facts)]


def sent(*seconds: float) -> list[Arrival]:
    return [replace(GOOD.arrivals[0], at=at(when)) for when in seconds]


TWICE = told_of((1, "queued"), (20, "started"), (24, "stumbled"), (600, "started"), (602, "completed"))
RESCUED = told_of((1, "queued"), (20, "started"), (30, "rescued"), (31, "started"), (32, "completed"))


@pytest.mark.parametrize(
    ("facts", "arrived", "kind", "began", "ended", "explained"),
    [
        (TWICE, (22, 601), "answer-lost:smtp", 21, 23, True),
        (TWICE, (22, 601), "answer-lost:smtp", 23.5, 40, True),  # while the attempt went on that sent the first copy
        (TWICE, (22, 601), "answer-lost:smtp", 10, 20.5, True),
        (TWICE, (22, 601), "answer-lost:smtp", 10, 19, False),  # before it
        (TWICE, (23, 601), "answer-lost:smtp", 10, 20.5, False),  # over when it was sent
        (TWICE, (22, 601), "answer-lost:smtp", 25, 40, False),  # after it
        (TWICE, (22, 601), "answer-lost:smtp", 600, 601, False),  # while the other went on
        (TWICE, (22, 601), "kill:api", 21, 23, False),
        (TWICE, (25, 601), "cut:smtp", 23.9, 24, True),  # it was on its way when its path broke
        (TWICE, (27, 601), "cut:smtp", 23.9, 24, False),
        (TWICE, (22, 23, 601), "answer-lost:smtp", 21, 23, False),  # more copies than attempts
        (RESCUED, (22, 31.5), "kill:worker", 24, 24, True),
        (RESCUED, (22, 31.5), "kill:worker", 28, 28, False),  # its worker had been silent before
        (RESCUED, (31.5, 36), "freeze:worker", 21, 36, True),  # it woke, and sent before it heard
    ],
)
def test_a_duplicate_is_explained_by_what_struck_the_attempt_that_sent_the_first_copy(
    facts: list[Line], arrived: tuple[float, ...], kind: str, began: float, ended: float, explained: bool
) -> None:
    touches = frozenset[str]() if kind == "kill:api" else frozenset({"email"})
    found, unexplained = duplicates(sent(*arrived), [Struck(kind, at(began), at(ended), touches)], lives_of(facts))
    assert (found == [], unexplained == []) == (not explained, explained)


def test_a_duplicate_that_a_fault_explains_is_counted() -> None:
    facts = told_of((25, "started"), (29.3, "stumbled"), (29.4, "started"))
    begun = replace(with_arrivals(AGAIN)(GOOD), lines=[*GOOD.lines[:3], *facts, *GOOD.lines[3:]])
    begun = replace(begun, lines=[replace(line, position=n) for n, line in enumerate(begun.lines, 1)])
    seen = {line.position: line.id for line in begun.lines[:2]}
    begun = replace(begun, seen_live=seen, subscribed=[Live(1, begun.lines[0].id, at(2))])
    verdict = judge(replace(begun, struck=[Struck("answer-lost:smtp", at(28.9), at(31), frozenset({"email"}))]))
    assert (verdict.good, verdict.figures["duplicates_explained"]) == (True, 1)


def test_recovery_is_the_time_until_every_task_has_moved_that_was_open() -> None:
    lives = lives_of(GOOD.lines).values()
    slow = Recovery("kill:worker", 28.0, f"probe {LATER}")
    assert recoveries(lives, GOOD.struck) == [slow]
    assert recoveries(lives, [Struck("late", at(50), at(51), frozenset())]) == [Recovery("late")]
    assert figures([slow, Recovery("late")]) == {
        **{"p50": 0.0, "p99": 28.0, "max": 28.0},
        "slowest": [f"28.0 s after kill:worker: probe {LATER}"],
    }


def test_a_task_that_waits_must_move_itself_and_by_the_milder_rule_moves_with_what_it_needs() -> None:
    first = [Line(1, id_at(1, 0), "task-a", "task.queued", {"asked": {"kind": "probe"}})]
    first += [
        Line(2, id_at(2, when), "task-a", name, {}) for when, name in ((13, "task.started"), (60, "task.completed"))
    ]
    waits = [Line(3, id_at(3, 0), "task-b", "task.waiting", {"asked": {"kind": "probe", "needs": ["a"]}})]
    last = [Line(4, id_at(4, 0), "task-c", "task.waiting", {"asked": {"kind": "probe", "needs": ["b"]}})]
    ended = [Line(n, id_at(n, 90), f"task-{id}", "task.completed", {}) for n, id in ((5, "b"), (6, "c"))]
    found = told(lives_of([*first, *waits, *last, *ended]), [Struck("kill:worker", at(10), at(12), frozenset())])
    assert (found["max"], found["worst_by_fault"]) == (78.0, {"kill:worker": 78.0})
    assert found["with_its_needs"] == {"p50": 1.0, "p99": 1.0, "max": 1.0}


def test_a_task_whose_needs_are_complete_must_move_itself() -> None:
    asked = {"a": {"asked": {"kind": "probe"}}, "b": {"asked": {"kind": "probe", "needs": ["a"]}}}
    lines = [Line(1, id_at(1, 0), "task-a", "task.queued", asked["a"])]
    lines += [Line(2, id_at(2, 0), "task-b", "task.waiting", asked["b"])]
    lines += [Line(3, id_at(3, 11), "task-a", "task.completed", {}), Line(4, id_at(4, 72), "task-b", "task.queued", {})]
    lines += [Line(5, id_at(5, 73), "task-b", "task.completed", {})]
    found = told(lives_of(lines), [Struck("kill:relay", at(10), at(12), frozenset())])
    assert (found["max"], found["with_its_needs"]) == (60.0, {"p50": 60.0, "p99": 60.0, "max": 60.0})


def test_a_forged_message_is_counted_while_somebody_forges() -> None:
    foreign = replace(GOOD, subscribed=[*GOOD.subscribed, Live(3, "", at(12))])
    assert judge(foreign).wrong["stream_told_otherwise"]
    verdict = judge(replace(foreign, struck=[Struck(FORGING, at(10), at(11), frozenset())]))
    assert (verdict.wrong["stream_told_otherwise"], verdict.figures["forged_heard"]) == ([], 1)


def test_an_order_is_confirmed_once_and_its_effects_say_so() -> None:
    order, tasks = "order-id", ("mail-2", "notice-1", "record-1")
    results = ({"message_id": "<task-mail-2@x>"}, {"status": 204}, {"total_cents": 100})
    kinds = ("email_order_confirmation", "warehouse_notify", "analytics_record")
    lives = [life(8 + 2 * at, *one, 1, 2) for at, one in enumerate(zip(tasks, kinds, ({},) * 3, results, strict=True))]
    good = replace(
        GOOD,
        intents=[
            *GOOD.intents,
            Intent(5, "order", "key-5", "/v1/orders", {"account": "ada"}, at(0)),
            Intent(6, "confirm", "key-6", f"/v1/orders/{order}/confirm", {}, at(0)),
        ],
        heard=GOOD.heard | {5: Heard(5, Answered.OK, 201, (), order), 6: Heard(6, Answered.OK, 202, tasks, order)},
        lines=[
            *GOOD.lines,
            *(line for one in lives for line in one),
            Line(14, id_at(14, 1), f"order-{order}", "order.created", {}),
            Line(15, id_at(15, 1), f"order-{order}", "order.confirmed", {}),
        ],
        arrivals=[
            *GOOD.arrivals,
            Arrival("email", "<task-mail-2@x>", "mail-2", f"ada@example.com: Your order {order}", at(3)),
            Arrival("webhook", "task-notice-1", "notice-1", f"order.confirmed: {order}", at(3)),
        ],
    )
    assert judge(good).wrong == judge(GOOD).wrong
    early = Line(16, id_at(16, 1), "task-notice-1", "task.started", {})  # behind the end of the mail
    assert judge(with_lines(early)(good)).wrong == judge(GOOD).wrong
    soon = [replace(early, position=8), *(replace(line, position=line.position + 1) for line in good.lines[7:])]
    assert judge(replace(good, lines=[*good.lines[:7], *soon])).wrong["out_of_order"]
    again = Line(16, id_at(16, 1), f"order-{order}", "order.confirmed", {})
    assert judge(with_lines(again)(good)).wrong["lost"]
    other = replace(good.arrivals[2], about="order.confirmed: another")
    assert judge(replace(good, arrivals=[*good.arrivals[:2], other])).wrong["wrong_effect"]


@pytest.mark.parametrize(
    ("code", "told", "broken"),
    [
        (0, {"a": [], "b": []}, []),
        (1, {"a": ["x"], "b": []}, ["a: x"]),
        (75, {"a": []}, ["`postcommit check` ended with code 75: away"]),
        (75, {}, ["`postcommit check` ended with code 75: away"]),
        (1, {"a": []}, ["`postcommit check` ended with code 1: away"]),
    ],
)
def test_a_check_that_broke_off_does_not_say_that_all_holds(
    code: int, told: dict[str, list[str]], broken: list[str]
) -> None:
    assert of_check(code, json.dumps({"invariants": told}) if told else "", "away") == broken
