"""Sets one section of a report. The end of this task is a checkpoint: nobody sets this section again."""

from typing import Any

from adapters.workers.children import refused
from adapters.workers.reports import Line, Office, of_report
from domain import report
from domain.job import Job, Work
from domain.outcome import Done, Outcome
from domain.report import Part, Planned, Requested, Section

TITLE = "Orders"


def report_section(office: Office) -> Work:
    """The worker with its tools."""

    async def work(request: report.OfSection, job: Job) -> Outcome:
        async def step(wanted: Requested, planned: Planned | None) -> Outcome:
            if planned is None or not 0 <= request.section <= len(planned.sections):
                return refused("no_section", "The plan has no such section.")
            if request.section == 0:
                data = _summary(wanted, planned)
            else:
                data = await _orders(office, wanted, planned.sections[request.section - 1], job)
            async with office.shelf.bench(job.id) as bench:
                path, pages = await office.paper.set(bench.given, bench.made, data | {"section": request.section + 1})
                [file] = await office.shelf.keep(path)
            return Done(result=Part(files=(file,), pages=pages))

        return await of_report(office, request.report, step)

    return work


def _summary(wanted: Requested, planned: Planned) -> dict[str, Any]:
    revenue: dict[str, int] = {}
    for day in planned.days:
        for currency, cents in day.revenue.items():
            revenue[currency] = revenue.get(currency, 0) + cents
    sums = {"Orders": f"{planned.orders:,}", "Confirmed": f"{sum(day.confirmed for day in planned.days):,}"}
    sums |= {f"Revenue in {currency}": f"{cents / 100:,.2f}" for currency, cents in sorted(revenue.items())}
    sums |= {name: f"{count:,}" for name, count in planned.others.items()}
    return {
        "kind": "summary",
        "title": TITLE,
        "period": f"from {wanted.begin.isoformat()} until before {wanted.end.isoformat()}",
        "sums": list(sums.items()),
        "days": planned.days,
        "currencies": sorted(revenue),
    }


async def _orders(office: Office, wanted: Requested, section: Section, job: Job) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    async for one in office.reports.orders(wanted, section.after):
        rows.append(_row(section.first + len(rows), one))
        job.report(len(rows), section.orders, "orders")
        if len(rows) == section.orders:
            break
    last = section.first + section.orders - 1
    return {"kind": "orders", "title": TITLE, "first": section.first, "last": last, "orders": rows}


def _row(number: int, one: Line) -> dict[str, Any]:
    order = one.order
    assert order.created_at is not None, "An order that exists was created."
    return {
        "number": number,
        "made": f"{order.created_at:%Y-%m-%d %H:%M}",
        "id": one.id,
        "state": "draft" if order.confirmed_at is None else "confirmed",
        "cents": order.total_cents,
        "currency": order.currency,
    }
