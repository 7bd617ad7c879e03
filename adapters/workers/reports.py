"""What every worker of reports holds in its hands."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from msgspec.structs import replace

from adapters.tools.paper import Paper
from adapters.tools.shelf import Shelf
from adapters.workers.children import refused, told
from domain.log import Meta
from domain.order import Order
from domain.outcome import Outcome
from domain.report import Completed, Planned, Report, Requested
from domain.task import Task


class Line(Protocol):
    """An order, and the id of its first fact."""

    @property
    def first(self) -> UUID: ...
    @property
    def id(self) -> UUID: ...
    @property
    def order(self) -> Order: ...


class Reports(Protocol):
    """Reports out of their streams and into them, and what they tell of."""

    async def read(self, id: UUID) -> Report: ...
    async def plan(self, id: UUID, planned: Planned, meta: Meta) -> None: ...
    async def complete(self, id: UUID, completed: Completed, meta: Meta) -> None: ...
    async def settled(self, wanted: Requested) -> int: ...
    def orders(self, wanted: Requested, after: UUID | None) -> AsyncIterator[Line]: ...
    async def others(self, wanted: Requested) -> Mapping[str, int]: ...


@dataclass(frozen=True, slots=True)
class Office:
    """All that is needed to make one; `needs` tells the tasks that one needed, as they ended."""

    reports: Reports
    shelf: Shelf
    paper: Paper
    needs: Callable[[UUID], Awaitable[Mapping[UUID, Task]]]


Step = Callable[[Requested, Planned | None], Awaitable[Outcome]]


async def of_report(office: Office, id: UUID, step: Step) -> Outcome:
    """The step, with what was asked for and how it was planned."""
    found = await office.reports.read(id)
    if found.requested is None or found.deleted_at is not None:
        return refused("no_report", f"There is no report {id}.")
    wanted, planned = found.requested, found.planned
    if planned is not None and planned.position is not None:
        wanted = replace(wanted, position=planned.position)
    return await told(lambda: step(wanted, planned))
