"""Counts a confirmed order: a fact in the order's own stream, written once however often the task runs."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from domain import analytics
from domain.job import Job, Work
from domain.log import Meta
from domain.order import Order
from domain.outcome import Done, Error, Outcome, Refused

Record = Callable[[UUID, Meta], Awaitable[Order]]
"""Records the order, if it is not yet, and answers with it as it is then."""


def analytics_record(record: Record) -> Work:
    """The worker with its tool."""

    async def work(request: analytics.Request, job: Job) -> Outcome:
        order = await record(request.order, job.meta)
        if order.recorded_at is None:
            return Refused(error=Error(type="no_order", detail=f"There is no confirmed order {request.order}."))
        result = analytics.Result(order=request.order, total_cents=order.total_cents, currency=order.currency)
        return Done(result=result)

    return work
