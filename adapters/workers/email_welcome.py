"""Sends the welcome email of an account."""

from adapters.workers.letter import Letters
from domain import email
from domain.job import Job, Work
from domain.outcome import Outcome


def email_welcome(letters: Letters) -> Work:
    """The worker with its tools."""

    async def work(request: email.Request, job: Job) -> Outcome:
        return await letters.post(job.id, request.account, lambda account: email.welcome(account.name))

    return work
