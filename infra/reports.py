"""Reports as workers read and write them, and the orders that they tell of."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from adapters.postgres.database import Database
from adapters.postgres.ledger import settled
from adapters.postgres.orders import MadeOrder, orders
from adapters.postgres.queries import PostgresQueries
from domain import charts, figures, report
from domain.log import Meta
from domain.report import Completed, Planned, Report, Requested
from infra.deciding import Deciding

REPORT = "report"
PAUSE_S = 0.2
WRITTEN = timedelta(seconds=2)  # after the time of a fact it is written, or never will be


@dataclass(frozen=True, slots=True)
class Reports:
    deciding: Deciding
    database: Database

    async def read(self, id: UUID) -> Report:
        """An unknown report has version 0."""
        return await self.deciding.folded(REPORT, id, report.fold)

    async def plan(self, id: UUID, planned: Planned, meta: Meta) -> None:
        await self.deciding.decide(REPORT, id, report.fold, lambda found: report.plan(found, planned), meta)

    async def complete(self, id: UUID, completed: Completed, meta: Meta) -> None:
        await self.deciding.decide(REPORT, id, report.fold, lambda found: report.complete(found, completed), meta)

    async def settled(self, wanted: Requested) -> int:
        """Waits until every fact from before the end of the period has its number: the report tells of the log up to
        the position that this answers with."""
        clock, position = self.deciding.clock, None
        while clock.now() < wanted.end + WRITTEN or (position := await settled(self.database, wanted.end)) is None:
            await clock.sleep(PAUSE_S)
        return max(position, wanted.position)

    def orders(self, wanted: Requested, after: UUID | None) -> AsyncIterator[MadeOrder]:
        """The orders of the period behind one of them, in the order in which they were made."""
        return orders(self.database, wanted.begin, wanted.end, wanted.owner, after, wanted.position)

    async def others(self, wanted: Requested) -> Mapping[str, int]:
        """Sums of the period beside the orders, for whoever may see those of everybody; of its whole hours."""
        if wanted.owner is not None:
            return {}
        begin, end = _hour(wanted.begin + timedelta(hours=1) - timedelta.resolution), _hour(wanted.end)
        if begin >= end:
            return {}
        queries = PostgresQueries(self.database)
        while True:
            position, told = await queries.figures(figures.HOUR, begin, end - timedelta(hours=1), None)
            if position >= wanted.position:
                break
            await self.deciding.clock.sleep(PAUSE_S)  # its reader is on the way
        sums = charts.chart(figures.HOUR, [begin], position, told).totals
        counts = {"Sign-ups": sums.signups}
        for kind, of_kind in sorted(sums.tasks.items()):
            counts[f"Tasks {kind}, complete"] = of_kind.complete
        return counts


def _hour(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
