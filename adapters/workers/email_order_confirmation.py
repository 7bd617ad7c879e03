"""Sends the confirmation of an order to its account. A repeat after a crash has the same Message-ID."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from adapters.tools.smtp import Mail, Rejected, Send
from domain import confirmation, email
from domain.account import Account
from domain.job import Job, Work
from domain.order import Order
from domain.outcome import Done, Error, Outcome, Refused


def email_order_confirmation(
    read: Callable[[UUID], Awaitable[Order]],
    read_account: Callable[[UUID], Awaitable[Account]],
    send: Send,
    mail_domain: str,
) -> Work:
    """The worker with its tools. `mail_domain` stands behind the @ of every Message-ID."""

    async def work(request: confirmation.Request, job: Job) -> Outcome:
        order = await read(request.order)
        if order.confirmed_at is None or order.account is None:
            return Refused(error=Error(type="no_order", detail=f"There is no confirmed order {request.order}."))
        account = await read_account(order.account)
        if account.version == 0:
            return Refused(error=Error(type="no_account", detail=f"There is no account {order.account}."))
        id = email.message_id(job.id, mail_domain)
        letter = confirmation.letter(request.order, order)
        try:
            answer = await send(Mail(id, account.email, account.name, letter.subject, letter.text, letter.html))
        except Rejected as error:
            return Refused(error=Error(type="mail_rejected", detail=str(error)))
        return Done(result=email.Result(message_id=id, answer=answer))

    return work
