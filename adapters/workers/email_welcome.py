"""Sends the welcome email of an account. A repeat after a crash has the same Message-ID."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from adapters.tools.smtp import Mail, Rejected, Send
from domain import email
from domain.account import Account
from domain.job import Job, Work
from domain.outcome import Done, Error, Outcome, Refused

ReadAccount = Callable[[UUID], Awaitable[Account]]


def email_welcome(read: ReadAccount, send: Send, mail_domain: str) -> Work:
    """The worker with its tools. `mail_domain` stands behind the @ of every Message-ID."""

    async def work(request: email.Request, job: Job) -> Outcome:
        account = await read(request.account)
        if account.version == 0:
            return Refused(error=Error(type="no_account", detail=f"There is no account {request.account}."))
        id = email.message_id(job.id, mail_domain)
        letter = email.welcome(account.name)
        try:
            answer = await send(Mail(id, account.email, account.name, letter.subject, letter.text, letter.html))
        except Rejected as error:
            return Refused(error=Error(type="mail_rejected", detail=str(error)))
        return Done(result=email.Result(message_id=id, answer=answer))

    return work
