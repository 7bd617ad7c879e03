"""Does a cell of the crash matrix see what is wrong? Evidence of a good crash, and each time one thing of it spoilt."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from infra.drill.evidence import Arrival, Line, lives_of
from infra.drill.matrix.armed import Order, come_by
from infra.drill.matrix.cells import Seen, phantoms, wrong
from infra.drill.matrix.passing import Death, Passing
from infra.drill.matrix.point import Point
from infra.drill.matrix.points import POINTS
from infra.drill.matrix.run import turns
from infra.drill.matrix.striking import WORKS
from infra.drill.matrix.works import LIGHT

AT = datetime(2026, 1, 1, tzinfo=UTC)
MAIL, OTHER = "019b0000-0000-7000-8000-000000000001", "019b0000-0000-7000-8000-000000000002"
POINT = Point("worker", "module:function")
ADMITTING = replace(POINT, admits=frozenset({"email"}))


def line(position: int, stream: str, name: str, data: Any = None) -> Line:
    return Line(position, str(UUID(int=(7 << 76) | (2 << 62) | position)), stream, name, data or {})


def life(position: int, id: str, kind: str = "email_welcome", end: str = "completed") -> list[Line]:
    asked = {"asked": {"kind": kind, "request": {}}}
    return [line(position, f"task-{id}", "task.queued", asked), line(position + 1, f"task-{id}", f"task.{end}")]


def arrived(task: str = MAIL, path: str = "email") -> Arrival:
    return Arrival(path, f"<task-{task}@x>", task, "", AT)


SENT = {"message_id": f"<task-{MAIL}@x>"}
TOLD = {
    MAIL: {"status": "complete", "error": None, "result": SENT, "finished_at": (AT + timedelta(seconds=2)).isoformat()}
}
LINES = [line(1, "account-a", "account.registered"), *life(2, MAIL)]
CRASHED = AT + timedelta(seconds=1)
GOOD = Seen(LINES, TOLD, [arrived()], 1, Death([MAIL], CRASHED))


def test_a_good_crash_has_nothing_wrong() -> None:
    assert wrong(POINT, LIGHT["email"], GOOD) == []


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        (lambda: replace(GOOD, struck=None), "never reached"),
        (lambda: replace(GOOD, struck=Death([OTHER], CRASHED)), "the work of others"),
        (lambda: replace(GOOD, lines=LINES[:-1]), "has the ends []"),
        (lambda: replace(GOOD, lines=[*LINES, LINES[-1]]), "has the ends ['completed', 'completed']"),
        (lambda: replace(GOOD, lines=[*LINES[:1], *life(2, MAIL, end="failed")]), "has the ends ['failed']"),
        (lambda: replace(GOOD, told={MAIL: {"status": "queued", "error": None}}), "is queued"),
        (lambda: replace(GOOD, told={MAIL: TOLD[MAIL] | {"result": {"message_id": "<x>"}}}), "has the result"),
        (lambda: replace(GOOD, lines=[*LINES, line(4, "account-b", "account.registered")]), "'account': 2"),
        (lambda: replace(GOOD, lines=LINES[:1], struck=Death([], CRASHED)), "there began {'account': 1}"),
        (lambda: replace(GOOD, arrivals=[]), "never came"),
        (lambda: replace(GOOD, arrivals=[arrived(), arrived()]), "came 2 times"),
    ],
)
def test_what_is_wrong_is_told(spoilt: Callable[[], Seen], words: str) -> None:
    [told, *_] = wrong(POINT, LIGHT["email"], spoilt())
    assert words in told


def test_a_second_task_made_by_a_clients_retry_is_seen() -> None:
    twice = replace(GOOD, lines=[*LINES, *life(4, OTHER)], told=TOLD | {OTHER: TOLD[MAIL]})
    assert any("'email_welcome': 2" in one for one in wrong(POINT, LIGHT["email"], twice))


def test_an_effect_may_come_twice_only_where_the_point_admits_it() -> None:
    twice = replace(GOOD, arrivals=[arrived(), arrived()])
    assert wrong(ADMITTING, LIGHT["email"], twice) == []
    assert wrong(ADMITTING, LIGHT["email"], replace(twice, arrivals=[arrived()] * 3))
    too_early = Death([MAIL], AT - timedelta(seconds=1))
    assert wrong(ADMITTING, LIGHT["email"], replace(twice, struck=too_early)), "no crash lay between the two"
    too_late = Death([MAIL], AT + timedelta(seconds=3))
    assert wrong(ADMITTING, LIGHT["email"], replace(twice, struck=too_late)), "its end was committed before the crash"


def test_the_whole_log_holds_the_tasks_of_the_cells_and_no_others() -> None:
    lives = lives_of(LINES)
    assert phantoms(lives, {MAIL}, [arrived()]) == []
    assert phantoms(lives, set(), [])[0].startswith(f"the task {MAIL} is no cell's")
    assert phantoms(lives, {MAIL, OTHER}, []) == [f"the task {OTHER} is not in the log any more"]
    assert phantoms(lives_of(LINES[:-1]), {MAIL}, []) == [f"the task {MAIL} has 0 ends"]
    assert phantoms(lives, {MAIL}, [arrived(OTHER)]) and phantoms(lives, {MAIL}, [arrived(path="webhook")])


def test_the_work_is_known_by_its_arguments_and_else_by_the_object() -> None:
    assert Passing({"self": UUID(OTHER), "path": f"/scratch/{MAIL}-x"}, None).ids == [MAIL]
    assert Passing({"self": UUID(OTHER), "limit": 5}, 3).ids == [OTHER]
    assert Passing({"limit": 5}, [f"task-{MAIL}"]).ids == [MAIL]


def test_an_order_tells_how_often_its_point_was_reached(tmp_path: Path) -> None:
    order = Order(tmp_path / "crash")
    assert not order.names("claimed")
    order.give("claimed")
    assert order.names("claimed") and not order.names("fetched")
    order.reached.write_bytes(b"..")
    order.struck.write_text(json.dumps({"ids": [MAIL], "at": AT.isoformat()}))
    assert order.end() == (2, Death([MAIL], AT))
    order.give("fetched")
    assert order.end() == (0, None), "nothing is left of the one before"


def test_an_order_tells_what_had_ended_before(tmp_path: Path) -> None:
    order = Order(tmp_path / "crash")
    order.give("fetched", ended=[MAIL])
    assert order.names("fetched") and order.ended() == {MAIL}


@pytest.mark.parametrize(("late", "ids", "counted"), [(True, [MAIL], 0), (False, [MAIL], 1), (True, [MAIL, OTHER], 1)])
def test_a_late_bell_for_work_that_had_ended_is_not_meant(
    tmp_path: Path, late: bool, ids: list[str], counted: int
) -> None:
    order, claim = Order(tmp_path / "crash"), {"self": None, "ids": ids, "facts": [UUID(int=7 << 76 | 2 << 62)]}
    order.give("to be claimed", ended=[MAIL])
    order.struck.write_text(json.dumps({"ids": ids, "at": AT.isoformat()}))  # another was faster: nobody dies here
    come_by(order, "to be claimed", replace(POINT, late=late), lambda: Passing(claim))
    assert order.end()[0] == counted


def test_every_cell_has_its_turn_and_no_role_dies_all_the_time() -> None:
    cells = turns(list(POINTS), list(WORKS))
    assert sorted(cells) == sorted((name, kind) for name, one in POINTS.items() for kind in one.kinds)
    api = [at for at, (name, _) in enumerate(cells) if POINTS[name].role == "api"]
    assert min(after - before for before, after in pairwise(api)) > 1
