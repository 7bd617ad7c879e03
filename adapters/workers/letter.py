"""A letter to an account, as every worker that writes one sends it. A repeat has the same Message-ID."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from adapters.tools.smtp import Mail, Rejected, Send
from domain import email
from domain.account import Account
from domain.outcome import Done, Error, Outcome, Refused


@dataclass(frozen=True, slots=True)
class Letters:
    """What is needed to send one. `domain` stands behind the @ of every Message-ID."""

    read: Callable[[UUID], Awaitable[Account]]
    send: Send
    domain: str

    async def post(self, task: UUID, account: UUID, write: Callable[[Account], email.Letter]) -> Outcome:
        """Write to the account, and send it."""
        found = await self.read(account)
        if found.version == 0:
            return Refused(error=Error(type="no_account", detail=f"There is no account {account}."))
        id, letter = email.message_id(task, self.domain), write(found)
        try:
            answer = await self.send(Mail(id, found.email, found.name, letter.subject, letter.text, letter.html))
        except Rejected as error:
            return Refused(error=Error(type="mail_rejected", detail=str(error)))
        return Done(result=email.Result(message_id=id, answer=answer))
