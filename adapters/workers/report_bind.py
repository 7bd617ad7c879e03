"""Binds the sections of a report: from then on it can be read."""

import msgspec

from adapters.workers.children import refused
from adapters.workers.reports import Office, of_report
from domain import report
from domain.file import File
from domain.job import Job, Work
from domain.outcome import Done, Outcome
from domain.report import Bound, Completed, Planned, Requested


def report_bind(office: Office) -> Work:
    """The worker with its tools."""

    async def work(request: report.OfReport, job: Job) -> Outcome:
        async def step(_: Requested, planned: Planned | None) -> Outcome:
            if planned is None:
                return refused("no_report", f"The report {request.report} has no plan.")
            needed = await office.needs(job.id)
            async with office.shelf.bench(job.id) as bench:
                for state in needed.values():
                    [file] = msgspec.convert(state.result["files"], tuple[File, ...])
                    await office.shelf.fetch(file, bench.given / f"{state.request['section']}.pdf")
                path, pages = await office.paper.bind(bench.given, bench.made)
                [file] = await office.shelf.keep(path)
            completed = Completed(file=file, pages=pages, parts=tuple(needed))
            await office.reports.complete(request.report, completed, job.meta)
            return Done(result=Bound(files=(file,), pages=pages))

        return await of_report(office, request.report, step)

    return work
