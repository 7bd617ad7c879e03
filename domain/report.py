"""A report: a PDF over the orders of a period, with tables and charts.

    requested ──▶ planned ──▶ completed                 (deleted, at any time ──▶ removed)

The plan says how many orders there are, what each day sums up to, and where the sections begin: a task makes each of
them and one binds them, so a crash costs a section. A report tells of the log up to one position, and of a period that
has ended: whoever asks for the same again gets the same bytes."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import assert_never
from uuid import UUID

from msgspec.structs import replace

from domain.file import File
from domain.kind import AnyKind, Backoff, Kind
from domain.order import Order
from domain.record import Record
from domain.transcoding import QUEUE

LONGEST = timedelta(days=366)
MOST_ORDERS = 1_000_000
IN_SECTION = 1_000  # orders


class Wanted(Record, frozen=True):
    """The period: from `begin` until before `end`, which has passed."""

    begin: datetime
    end: datetime


class Requested(Record, frozen=True):
    """`owner` is whose orders it tells of, None for those of everybody; `position` up to where of the log."""

    begin: datetime
    end: datetime
    position: int
    owner: str | None = None


class Day(Record, frozen=True):
    """The orders that were made on a day (UTC). `revenue` is of those that were confirmed, in cents by currency."""

    day: date
    orders: int
    confirmed: int
    revenue: dict[str, int]


class Section(Record, frozen=True):
    """Some orders in a row: those behind the one whose first fact has this id (None: from the beginning)."""

    after: UUID | None
    first: int  # the number of its first order, from 1
    orders: int


class Planned(Record, frozen=True):
    """What it will tell. `others` are sums of the period beside the orders: sign-ups, tasks, … by their names."""

    orders: int
    days: tuple[Day, ...]
    sections: tuple[Section, ...]
    others: dict[str, int] = {}
    position: int | None = None  # up to where of the log it tells; None: up to where it ended when it was asked for


class Completed(Record, frozen=True):
    """It can be read. `parts` are the tasks whose files it was bound of: these may go."""

    file: File
    pages: int
    parts: tuple[UUID, ...]


class Deleted(Record, frozen=True):
    """Nobody sees it any more; what runs is cancelled."""


class Removed(Record, frozen=True):
    """Nothing of it runs or is kept any more. `tasks` are all that ever worked for it."""

    tasks: tuple[UUID, ...]


Event = Requested | Planned | Completed | Deleted | Removed


class Report(Record, frozen=True):
    """A report as its stream tells it; `version` 0 means that there is none."""

    version: int = 0
    requested: Requested | None = None
    planned: Planned | None = None
    completed: Completed | None = None
    requested_at: datetime | None = None
    completed_at: datetime | None = None
    deleted_at: datetime | None = None
    removed_at: datetime | None = None


def evolve(report: Report, event: Event, at: datetime) -> Report:
    report = replace(report, version=report.version + 1)
    match event:
        case Requested():
            return replace(report, requested=event, requested_at=at)
        case Planned():
            return replace(report, planned=event)
        case Completed():
            return replace(report, completed=event, completed_at=at)
        case Deleted():
            return replace(report, deleted_at=at)
        case Removed():
            return replace(report, removed_at=at)
        case _:
            assert_never(event)


def fold(events: Iterable[tuple[Event, datetime]]) -> Report:
    report = Report()
    for event, at in events:
        report = evolve(report, event, at)
    return report


def flaw(wanted: Wanted, now: datetime) -> tuple[str, str] | None:
    """What keeps a period from being told of: the field, and why."""
    if wanted.begin >= wanted.end:
        return "end", "It must be after the begin"
    if wanted.end - wanted.begin > LONGEST:
        return "end", f"A report tells of {LONGEST.days} days at most"
    if wanted.end > now:
        return "end", "The period must have ended"
    return None


def request(report: Report, wanted: Wanted, position: int, owner: str | None) -> list[Event]:
    if report.version > 0:
        return []
    return [Requested(begin=wanted.begin, end=wanted.end, position=position, owner=owner)]


def plan(report: Report, planned: Planned) -> list[Event]:
    """The first plan counts."""
    return [planned] if _works(report) and report.planned is None else []


def complete(report: Report, completed: Completed) -> list[Event]:
    return [completed] if _works(report) and report.planned is not None else []


def delete(report: Report) -> list[Event]:
    return [Deleted()] if report.version > 0 and report.deleted_at is None else []


def remove(report: Report, tasks: Sequence[UUID]) -> list[Event]:
    if report.deleted_at is None or report.removed_at is not None:
        return []
    return [Removed(tasks=tuple(tasks))]


def _works(report: Report) -> bool:
    return report.version > 0 and report.completed is None and report.deleted_at is None


class Planning:
    """Sums orders up as they come, in their order; nothing is kept of each of them."""

    def __init__(self) -> None:
        self.orders = 0
        self._sections: list[Section] = []
        self._days: dict[date, tuple[Counter[str], Counter[str]]] = {}
        self._last: UUID | None = None

    def add(self, first: UUID, order: Order) -> None:
        """`first` is the id of the order's first fact."""
        if self.orders % IN_SECTION == 0:
            self._sections.append(Section(after=self._last, first=self.orders + 1, orders=0))
        self._sections[-1] = replace(self._sections[-1], orders=self._sections[-1].orders + 1)
        self.orders += 1
        self._last = first
        assert order.created_at is not None, "An order that exists was created."
        counts, revenue = self._days.setdefault(order.created_at.date(), (Counter(), Counter()))
        counts["orders"] += 1
        if order.confirmed_at is not None:
            counts["confirmed"] += 1
            revenue[order.currency] += order.total_cents

    def planned(self, others: Mapping[str, int]) -> Planned:
        days = tuple(
            Day(day=day, orders=counts["orders"], confirmed=counts["confirmed"], revenue=dict(sorted(revenue.items())))
            for day, (counts, revenue) in sorted(self._days.items())
        )
        return Planned(orders=self.orders, days=days, sections=tuple(self._sections), others=dict(others))


class OfReport(Record, frozen=True):
    report: UUID


class OfSection(Record, frozen=True):
    """`section` 0 is the summary; the orders are in 1, 2, …"""

    report: UUID
    section: int


class Counted(Record, frozen=True):
    orders: int
    sections: int


class Part(Record, frozen=True):
    """A section as a PDF of its own."""

    files: tuple[File, ...]
    pages: int


class Bound(Record, frozen=True):
    """The whole report."""

    files: tuple[File, ...]
    pages: int


def _kind(name: str, asked: type[Record], made: type[Record]) -> AnyKind:
    backoff = Backoff(first_s=1.0, longest_s=60.0)
    return Kind(name=name, request=asked, result=made, queue=QUEUE, deadline_s=3_600.0, backoff=backoff, internal=True)


PLAN = _kind("report_plan", OfReport, Counted)
SECTION = _kind("report_section", OfSection, Part)
BIND = _kind("report_bind", OfReport, Bound)
