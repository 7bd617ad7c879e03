"""Reports: asked for, followed, read as a PDF, deleted."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Response, delete, post
from litestar.params import FromPath

from adapters.http import examples
from adapters.http.admission import intake
from adapters.http.auth import needs
from adapters.http.body import json_of
from adapters.http.described import Body, Reply, described
from adapters.http.desk import Call, desk
from adapters.http.files import content, served
from adapters.http.made import Made, removal
from adapters.http.methods import get
from adapters.http.origin import meta
from adapters.http.page import Limit, Text, limited, page
from adapters.http.problems import Problem, invalid
from adapters.http.shape import flaw, flaws
from adapters.http.shown import ENCODER, id_of, ok
from adapters.http.things import streams, written
from adapters.http.working import of_each, tasks_of
from adapters.http.write import claim, write
from domain import compose, making, report
from domain.access import Right
from domain.log import Answer
from domain.making import State
from domain.outcome import Error
from domain.report import Report
from domain.task import Task
from domain.views import HEAD

REPORTS = Made("report", report.Event, report.fold, report.delete)
PDF = "application/pdf"


class ReportShown(msgspec.Struct, kw_only=True):
    """`progress` is from 0 to 1; `orders` are known once it is planned, `pages` once it is complete."""

    id: UUID
    status: State
    progress: float
    error: Error | None
    begin: datetime
    end: datetime
    orders: int | None
    pages: int | None
    tasks: list[UUID]
    created_at: datetime
    completed_at: datetime | None
    links: dict[str, str]


class ReportWritten(ReportShown, kw_only=True):
    """A report together with what was written for it."""

    events: list[UUID]


class ReportPage(msgspec.Struct):
    items: list[ReportShown]
    next: str | None


JANUARY = {"begin": "2030-01-01T00:00:00Z", "end": "2030-01-31T00:00:00Z"}
HERE = f"/v1/reports/{examples.REPORT_ID}"
SHOWN = {
    "id": examples.REPORT_ID,
    "status": "queued",
    "progress": 0.0,
    "error": None,
    **JANUARY,
    "orders": None,
    "pages": None,
    "tasks": [examples.TASK_ID],
    "created_at": examples.AT,
    "completed_at": None,
    "links": {"self": HERE},
}
CREATE = described(
    "create_report",
    "Reports",
    {
        202: Reply(
            ReportWritten,
            SHOWN | {"events": [examples.EVENT_ID]},
            ["Location", "Retry-After"],
            links=dict.fromkeys(("see_report", "delete_report"), "$response.body#/id"),
        )
    },
    Body(report.Wanted, {"january": JANUARY}),
)
LIST = described(
    "list_reports", "Reports", {200: Reply(ReportPage, {"items": [SHOWN], "next": examples.CURSOR}, may=["Link"])}
)
SEE = described("see_report", "Reports", {200: Reply(ReportShown, SHOWN)}, problems=["gone"])
CONTENT = served("see_report_content", "Reports", ["conflict"], PDF)
DELETE = removal("delete_report", "Reports", examples.REPORT_ID)


@post("/v1/reports", opt=needs(Right.WRITE) | CREATE)
async def create_report(request: Call) -> Response[bytes]:
    """Ask for a PDF over the orders of a period that has ended. A client's tells of its own orders, an operator's of
    all. The same period gives the same bytes."""
    service, body = desk(request).service, await json_of(request)
    if found := flaws(body, report.Wanted):
        raise invalid(found)
    try:
        given = msgspec.convert(body, report.Wanted)
        wanted = report.Wanted(begin=_utc(given.begin), end=_utc(given.end))
    except (ValueError, OverflowError) as error:
        raise invalid([flaw("/begin", str(error))]) from None
    if wrong := report.flaw(wanted, service.now()):
        raise invalid([flaw(f"/{wrong[0]}", wrong[1])])
    id, now, claimed = service.new_id(), service.now(), claim(request, body)
    owner = None if request.user.sees("") else request.user.name
    position = (await service.queries.cursors([]))[HEAD]
    events = report.request(Report(), wanted, position, owner)
    facts = compose.of_thing(id, 0, events, meta(request, service), now, service.new_id)
    entry = compose.entry(facts, dict(service.kinds), now, service.new_id)
    told = _shown(id, report.fold((event, now) for event in events), dict(entry.tasks))
    told |= {"events": written(entry)["events"]}
    return await write(service, entry, Answer(202, ENCODER.encode(told), f"/v1/reports/{id}"), claimed)


@get("/v1/reports", opt=needs(Right.READ_ACCOUNTS) | LIST)
async def list_reports(request: Call, after: Text = None, limit: Limit = 50) -> Response[bytes]:
    """Reports, newest first, without those that were deleted. A client sees its own."""
    found, following = await streams(request, "report.requested", after, limited(limit))
    pairs = [(recorded, one) for recorded in found if (one := REPORTS.folded(recorded)).deleted_at is None]
    tasks = await tasks_of(request, [recorded for recorded, one in pairs if one.completed is None])
    return page(
        [_shown(REPORTS.id(recorded), one, of_each(recorded, tasks)) for recorded, one in pairs], following, request
    )


@get("/v1/reports/{id:str}", opt=needs(Right.READ_ACCOUNTS) | SEE)
async def see_report(request: Call, id: FromPath[str]) -> Response[bytes]:
    """A report: how far it is, and where it can be read."""
    known = id_of(id)
    recorded = await REPORTS.present(request, known)
    return ok(_shown(known, REPORTS.folded(recorded), await tasks_of(request, [recorded])))


@get("/v1/reports/{id:str}/content", opt=needs(Right.READ_ACCOUNTS) | CONTENT)
async def see_report_content(request: Call, id: FromPath[str]) -> Response[bytes]:
    """The PDF, once the report is complete."""
    known = id_of(id)
    found = REPORTS.folded(await REPORTS.present(request, known))
    if found.completed is None or found.requested is None:
        raise Problem("conflict", f"The report {known} is not complete yet.")
    name = f"orders-{found.requested.begin:%Y-%m-%d}-{found.requested.end:%Y-%m-%d}.pdf"
    return await content(request, intake(request).files, found.completed.file, PDF, name)


@delete("/v1/reports/{id:str}", opt=needs(Right.WRITE) | DELETE, status_code=200)
async def delete_report(request: Call, id: FromPath[str]) -> Response[bytes]:
    """Delete a report: its file is removed after a while."""
    return await REPORTS.delete(request, id_of(id))


def _utc(at: datetime) -> datetime:
    """Raises ValueError where it has no offset."""
    if at.tzinfo is None:
        raise ValueError("Expected a time as in RFC 3339, with an offset, such as 2030-01-31T12:00:00Z")
    return at.astimezone(UTC)


def _shown(id: UUID, found: Report, tasks: Mapping[UUID, Task]) -> dict[str, Any]:
    wanted, planned, completed = found.requested, found.planned, found.completed
    assert wanted is not None and found.requested_at is not None, "What exists was asked for."
    status, error = (State.COMPLETE, None) if completed is not None else making.of_all(tasks)
    here = f"/v1/reports/{id}"
    return {
        "id": id,
        "status": making.unfinished(status) if completed is None else status,
        "progress": 1.0 if completed is not None else making.share(tasks) if planned is not None else 0.0,
        "error": error,
        "begin": wanted.begin,
        "end": wanted.end,
        "orders": planned.orders if planned is not None else None,
        "pages": completed.pages if completed is not None else None,
        "tasks": list(tasks),
        "created_at": found.requested_at,
        "completed_at": found.completed_at,
        "links": {"self": here} | ({"content": f"{here}/content"} if completed is not None else {}),
    }
