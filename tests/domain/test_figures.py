"""Are the figures what happened, by hour and day, however the log is cut into pieces?"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import account, charts, compose, figures, item, order, sketch, task
from domain.charts import Figure
from domain.figures import Key
from domain.log import Event, Recorded
from domain.outcome import Error
from domain.task import Task
from infra.clock import new_id
from tests.lives import lived, numbered
from tests.making import META, NOON, asked

HALF_PAST = NOON + timedelta(minutes=30)
DAY = NOON.replace(hour=0)
ERROR = Error(type="e", detail="d")
PAST = numbered(lived(600))


def of_thing(*events: Event) -> list[Recorded]:
    return numbered(compose.of_thing(UUID(int=1), 0, events, META, HALF_PAST, new_id))


def of_task(*told: tuple[task.Event, float]) -> list[Recorded]:
    """The facts of one task; each so many seconds after noon."""
    facts, state = [], Task()
    for event, seconds in told:
        more, state = compose.of_task(UUID(int=1), state, [event], META, NOON + timedelta(seconds=seconds), new_id)
        facts += more
    return numbered(facts)


QUEUED, STARTED, AGAIN = task.Queued(asked=asked()), task.Started(turn=1, attempt=1, worker="w"), task.Queued()
DONE = task.Completed(result=1)
CASES: dict[str, tuple[list[Recorded], dict[tuple[str, str, int], int]]] = {
    "a sign-up": (of_thing(account.Registered(email="a@example.com", name="Ann")), {("signups", "", 0): 1}),
    "a confirmed order": (of_thing(order.Confirmed()), {("orders", "", 0): 1}),
    "a sale": (
        of_thing(order.Recorded(total_cents=250, currency="EUR")),
        {("orders_recorded", "", 0): 1, ("revenue", "EUR", 0): 250},
    ),
    "a sale beyond what a bigint holds": (
        of_thing(*[order.Recorded(total_cents=10**15, currency="EUR")] * 10_000),
        {("orders_recorded", "", 0): 10_000, ("revenue", "EUR", 0): 10**19},
    ),
    "what no figure tells of": (
        of_thing(item.Created(details=item.Details(name="n", description="", price_cents=1, currency="EUR"))),
        {},
    ),
    "a task that is asked for": (of_task((QUEUED, 0)), {("accepted", "probe", 0): 1}),
    "a task that waits, is due later, and is queued": (
        of_task((task.Waiting(asked=asked()), 0), (task.Scheduled(due_at=NOON), 1), (AGAIN, 2)),
        {("accepted", "probe", 0): 1},
    ),
    "a task that is complete": (
        of_task((QUEUED, 0), (STARTED, 1), (task.Progressed(done=1, total=2), 1), (DONE, 3)),
        {("accepted", "probe", 0): 1, ("complete", "probe", 0): 1, ("run", "probe", 2_000_000): 1},
    ),
    "each attempt that ended": (
        of_task(
            *((QUEUED, 0), (STARTED, 1), (task.Stumbled(error=ERROR, again_at=NOON), 2), (AGAIN, 3), (STARTED, 4)),
            (task.Failed(error=ERROR), 7),
        ),
        {
            ("accepted", "probe", 0): 1,
            ("stumbled", "probe", 0): 1,
            ("failed", "probe", 0): 1,
            ("run", "probe", 1_000_000): 1,
            ("run", "probe", 3_000_000): 1,
        },
    ),
    "an attempt whose holder was lost": (
        of_task((QUEUED, 0), (STARTED, 1), (task.Rescued(turn=1, lost=True), 2), (AGAIN, 2), (STARTED, 4), (DONE, 5)),
        {
            ("accepted", "probe", 0): 1,
            ("rescued", "probe", 0): 1,
            ("complete", "probe", 0): 1,
            ("run", "probe", 1_000_000): 1,
        },
    ),
    "a task that is cancelled before it runs again": (
        of_task((QUEUED, 0), (STARTED, 1), (task.Rescued(turn=1, lost=True), 2), (task.Cancelled(by="ops"), 9)),
        {("accepted", "probe", 0): 1, ("rescued", "probe", 0): 1, ("cancelled", "probe", 0): 1},
    ),
    "a task that is cancelled while it runs": (
        of_task((QUEUED, 0), (STARTED, 1), (task.CancelRequested(by="ops"), 2), (task.Cancelled(by="ops"), 3)),
        {("accepted", "probe", 0): 1, ("cancelled", "probe", 0): 1, ("run", "probe", 2_000_000): 1},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_happened_is_counted(case: str) -> None:
    recorded, expected = CASES[case]
    wanted = {
        Key(per, begin, figure, label, sketch.bucket(timedelta(microseconds=us)))
        if figure == "run"
        else Key(per, begin, figure, label): number
        for (figure, label, us), number in expected.items()
        for per, begin in (("hour", NOON), ("day", DAY))
    }
    assert figures.fold(recorded, {}) == wanted


def test_a_fact_belongs_to_the_hour_and_the_day_in_which_it_happened() -> None:
    late = datetime(2026, 3, 1, 23, 59, 59, 999_999, tzinfo=UTC)
    facts = compose.of_thing(UUID(int=1), 0, [order.Confirmed()], META, late, new_id)
    assert set(figures.fold(numbered(facts), {})) == {
        Key("hour", late.replace(minute=0, second=0, microsecond=0), "orders"),
        Key("day", late.replace(hour=0, minute=0, second=0, microsecond=0), "orders"),
    }


@given(st.lists(st.integers(0, len(PAST)), max_size=12))
@settings(max_examples=100, deadline=None)
def test_the_figures_are_the_same_in_any_pieces(cuts: list[int]) -> None:
    """Each piece knows of the attempts that began before it what the streams tell, and no more."""
    edges = [0, *sorted(cuts), len(PAST)]
    total: Counter[Key] = Counter()
    for first, last in pairwise(edges):
        piece = PAST[first:last]
        wanted = figures.began_before(piece)
        total.update(figures.fold(piece, {s: at for s, at in running_after(PAST[:first]).items() if s in wanted}))
    assert total == figures.fold(PAST, {})


def test_days_are_the_sums_of_their_hours() -> None:
    found = figures.fold(PAST, {})
    days: Counter[Key] = Counter()
    for key, number in found.items():
        if key.per == "hour":
            days[key._replace(per="day", begins_at=figures.day(key.begins_at))] += number
    assert days == {key: number for key, number in found.items() if key.per == "day"}
    assert len({key.begins_at for key in days}) >= 3


def running_after(recorded: Sequence[Recorded]) -> dict[str, datetime]:
    running: dict[str, datetime] = {}
    figures.fold(recorded, running)
    return running


# What is told of them.


def test_a_chart_has_every_bucket_and_the_sums_of_all() -> None:
    begins = charts.begins("hour", HALF_PAST, NOON + timedelta(hours=2, seconds=1))
    assert begins == [NOON, NOON + timedelta(hours=1), NOON + timedelta(hours=2)]
    told = [
        Figure(NOON, "signups", "", 2),
        Figure(NOON, "accepted", "probe", 3),
        Figure(NOON, "run", "probe", 3, p50=1, p90=2, p99=3, max=4),
        Figure(None, "revenue", "EUR", 7),
    ]
    chart = charts.chart("hour", begins, 9, told)
    assert (chart.since, chart.until, chart.position) == (NOON, NOON + timedelta(hours=3), 9)
    first, second, _ = chart.buckets
    assert (first.signups, second.signups, second.tasks) == (2, 0, {})
    runs = charts.RunTimes(count=3, p50=1e-6, p90=2e-6, p99=3e-6, max=4e-6)
    assert first.tasks == {"probe": charts.TaskFigures(accepted=3, run_s=runs)}
    assert chart.totals == charts.Sums(signups=0, orders=0, orders_recorded=0, revenue={"EUR": 7}, tasks={})


@pytest.mark.parametrize(
    ("per", "since", "until", "says"),
    [
        ("hour", NOON, NOON, "Expected a time after `since`"),
        ("hour", NOON, NOON + timedelta(hours=1_000, seconds=1), "at most 1,000 buckets"),
        ("day", DAY + timedelta(hours=1), DAY + timedelta(days=1_000, seconds=1), "at most 1,000 buckets"),
        ("day", datetime.max.replace(tzinfo=UTC) - timedelta(1), datetime.max.replace(tzinfo=UTC), "the year 9999"),
    ],
)
def test_a_range_that_cannot_be_told_is_refused(per: str, since: datetime, until: datetime, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        charts.begins(per, since, until)


@pytest.mark.parametrize(("per", "length"), [("hour", timedelta(hours=1_000)), ("day", timedelta(days=1_000))])
def test_the_longest_range_is_told(per: str, length: timedelta) -> None:
    assert len(charts.begins(per, DAY, DAY + length)) == charts.MOST_BUCKETS
