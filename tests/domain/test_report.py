"""Does a report's plan hold each order once, and its story no second end?"""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import report
from domain.file import File
from domain.order import Order
from domain.report import Completed, Deleted, Planned, Planning, Report, Requested, Wanted
from tests.making import NOON

DAY = timedelta(days=1)
FILE = File(sha256="ab" * 32, size_bytes=1)
EMPTY = Planned(orders=0, days=(), sections=())


def order(at: datetime, cents: int = 100, currency: str = "EUR", confirmed: bool = False) -> Order:
    return Order(version=1, total_cents=cents, currency=currency, created_at=at, confirmed_at=at if confirmed else None)


def told(*events: report.Event) -> Report:
    return report.fold((event, NOON) for event in events)


@given(st.integers(0, 3_500))
def test_the_sections_hold_every_order_once(count: int) -> None:
    planning = Planning()
    for number in range(count):
        planning.add(UUID(int=number + 1), order(NOON))
    planned = planning.planned({})
    assert planned.orders == sum(one.orders for one in planned.sections) == count
    at = 0
    for one in planned.sections:
        assert (one.first, one.after) == (at + 1, UUID(int=at) if at else None)
        assert 0 < one.orders <= report.IN_SECTION
        at += one.orders


def test_days_are_those_of_utc_and_revenue_is_of_what_was_confirmed() -> None:
    planning = Planning()
    late = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
    for number, one in enumerate(
        [
            order(late, 100, confirmed=True),
            order(late, 7),
            order(late + DAY, 5, "USD", True),
            order(late + DAY, 9, "EUR", True),
        ]
    ):
        planning.add(UUID(int=number + 1), one)
    first, second = planning.planned({"signups": 2}).days
    assert (first.day, first.orders, first.confirmed, first.revenue) == (date(2026, 1, 31), 2, 1, {"EUR": 100})
    assert (second.orders, second.revenue, list(second.revenue)) == (2, {"EUR": 9, "USD": 5}, ["EUR", "USD"])


@pytest.mark.parametrize(
    ("begin", "end", "field"),
    [(NOON, NOON, "end"), (NOON, NOON - DAY, "end"), (NOON - 367 * DAY, NOON, "end"), (NOON - DAY, NOON + DAY, "end")],
)
def test_a_period_that_cannot_be_told_of_is_named(begin: datetime, end: datetime, field: str) -> None:
    found = report.flaw(Wanted(begin=begin, end=end), NOON)
    assert found is not None and found[0] == field


def test_a_period_that_has_ended_can_be_told_of() -> None:
    assert report.flaw(Wanted(begin=NOON - 366 * DAY, end=NOON), NOON) is None


def test_the_first_plan_and_the_first_end_count() -> None:
    requested = Requested(begin=NOON - DAY, end=NOON, position=7)
    completed = Completed(file=FILE, pages=1, parts=())
    assert report.complete(told(requested), completed) == [], "nothing is planned"
    assert report.plan(told(requested), EMPTY) == [EMPTY]
    assert report.plan(told(requested, EMPTY), EMPTY) == []
    assert report.complete(told(requested, EMPTY), completed) == [completed]
    assert report.complete(told(requested, EMPTY, completed), completed) == []
    for before in ((requested,), (requested, EMPTY), (requested, EMPTY, completed)):
        assert report.delete(told(*before)) == [Deleted()]
        gone = told(*before, Deleted())
        assert report.delete(gone) == report.plan(gone, EMPTY) == report.complete(gone, completed) == []
        [removed] = report.remove(gone, [UUID(int=1)])
        assert report.remove(told(*before, Deleted(), removed), []) == []
    assert report.delete(Report()) == report.remove(told(requested), []) == []
