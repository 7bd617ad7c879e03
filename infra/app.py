"""It all comes together here: the kinds and what does their work. A new kind is one line in WORKERS."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from adapters.tools.smtp import Send, domain_of, smtp
from adapters.workers.email_welcome import email_welcome
from adapters.workers.probe import probe
from domain import account, email
from domain.account import Account
from domain.job import Work, Worker
from domain.kind import AnyKind
from domain.log import Log, stream_of
from domain.probe import KIND as PROBE
from infra.settings import Settings


@dataclass(frozen=True, slots=True)
class Tools:
    """What workers hold in their hands."""

    read_account: Callable[[UUID], Awaitable[Account]]
    send: Send
    mail_domain: str


WORKERS: tuple[tuple[AnyKind, Callable[[Tools], Work]], ...] = (
    (PROBE, lambda _: probe),
    (email.KIND, lambda tools: email_welcome(tools.read_account, tools.send, tools.mail_domain)),
)
KINDS: dict[str, AnyKind] = {kind.name: kind for kind, _ in WORKERS}
QUEUES: tuple[str, ...] = tuple(sorted({kind.queue for kind in KINDS.values()}))


def workers(settings: Settings, log: Log) -> dict[str, Worker]:
    """Every kind's worker, with its tools in its hands."""
    tools = Tools(read_account(log), smtp(settings.smtp, settings.mail_from), domain_of(settings.mail_from))
    return {kind.name: Worker(kind, work(tools)) for kind, work in WORKERS}


def read_account(log: Log) -> Callable[[UUID], Awaitable[Account]]:
    """Reads an account from its stream; an unknown one has version 0."""

    async def read(id: UUID) -> Account:
        recorded = await log.read(stream_of("account", id))
        facts = [(r.fact.event, r.fact.at) for r in recorded if isinstance(r.fact.event, account.Event)]
        return account.fold(facts)

    return read
