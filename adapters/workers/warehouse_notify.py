"""Tells the warehouse of a confirmed order. A repeat has the same `webhook-id`."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec

from adapters.tools import webhook
from adapters.tools.webhook import Notice, Post
from domain import warehouse
from domain.job import Job, Work
from domain.order import Order
from domain.outcome import Done, Error, Outcome, Refused

ReadOrder = Callable[[UUID], Awaitable[Order]]


def warehouse_notify(read: ReadOrder, post: Post, url: str) -> Work:
    """The worker with its tools. `url` is for orders that say nothing else."""

    async def work(request: warehouse.Request, job: Job) -> Outcome:
        order = await read(request.order)
        if order.confirmed_at is None:
            return Refused(error=Error(type="no_order", detail=f"There is no confirmed order {request.order}."))
        if not (address := order.notify or url):
            return Refused(error=Error(type="no_address", detail="The setting webhook_url is empty."))
        id = warehouse.webhook_id(job.id)
        body = msgspec.json.encode(warehouse.notice(request.order, order))
        try:
            status = await post(Notice(address, id, body))
        except webhook.Refused as error:
            return Refused(error=Error(type="webhook_refused", detail=str(error)))
        return Done(result=warehouse.Result(webhook_id=id, status=status))

    return work
