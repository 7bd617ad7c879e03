"""Goes once through all orders of the period, and plans the report: its sums, and where its sections begin."""

from msgspec.structs import replace

from adapters.workers.children import refused
from adapters.workers.reports import Office, of_report
from domain import report
from domain.job import Job, Work
from domain.outcome import Done, Outcome
from domain.report import Counted, Planned, Requested


def report_plan(office: Office) -> Work:
    """The worker with its tools."""

    async def work(request: report.OfReport, job: Job) -> Outcome:
        async def step(wanted: Requested, planned: Planned | None) -> Outcome:
            if planned is None:
                wanted = replace(wanted, position=await office.reports.settled(wanted))
                planning = report.Planning()
                async for one in office.reports.orders(wanted, None):
                    planning.add(one.first, one.order)
                    if planning.orders > report.MOST_ORDERS:
                        return refused("too_much", f"A report tells of {report.MOST_ORDERS} orders at most.")
                planned = replace(planning.planned(await office.reports.others(wanted)), position=wanted.position)
                await office.reports.plan(request.report, planned, job.meta)
            return Done(result=Counted(orders=planned.orders, sections=len(planned.sections) + 1))

        return await of_report(office, request.report, step)

    return work
