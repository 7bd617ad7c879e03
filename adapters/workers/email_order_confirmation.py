"""Sends the confirmation of an order to its account."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from adapters.workers.letter import Letters
from domain import confirmation
from domain.job import Job, Work
from domain.order import Order
from domain.outcome import Error, Outcome, Refused


def email_order_confirmation(read: Callable[[UUID], Awaitable[Order]], letters: Letters) -> Work:
    """The worker with its tools."""

    async def work(request: confirmation.Request, job: Job) -> Outcome:
        order = await read(request.order)
        if order.confirmed_at is None or order.account is None:
            return Refused(error=Error(type="no_order", detail=f"There is no confirmed order {request.order}."))
        return await letters.post(job.id, order.account, lambda _: confirmation.letter(request.order, order))

    return work
