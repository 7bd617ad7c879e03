"""It all comes together here: the kinds, the workers with their tools, the readers. Add a kind here, in one line."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from adapters.tools.smtp import domain_of, smtp
from adapters.workers.email_welcome import email_welcome
from adapters.workers.probe import probe
from domain import account, email
from domain.account import Account
from domain.job import Worker
from domain.kind import AnyKind
from domain.log import Log
from domain.probe import KIND as PROBE
from infra.settings import Settings

KINDS: dict[str, AnyKind] = {kind.name: kind for kind in (PROBE, email.KIND)}
QUEUES: tuple[str, ...] = tuple(sorted({kind.queue for kind in KINDS.values()}))
READERS = ("audit", "balance")


def workers(settings: Settings, log: Log) -> dict[str, Worker]:
    """Every kind's worker, with what it holds in its hands."""
    send = smtp(settings.smtp, settings.mail_from)
    return {
        worker.kind.name: worker
        for worker in (
            Worker(PROBE, probe),
            Worker(email.KIND, email_welcome(read_account(log), send, domain_of(settings.mail_from))),
        )
    }


def read_account(log: Log) -> Callable[[UUID], Awaitable[Account]]:
    """Reads an account from its stream; an unknown one has version 0."""

    async def read(id: UUID) -> Account:
        recorded = await log.read(f"account-{id}")
        facts = [(r.fact.event, r.fact.at) for r in recorded if isinstance(r.fact.event, account.Event)]
        return account.fold(facts)

    return read
