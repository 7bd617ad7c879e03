"""It all comes together here: the kinds and what does their work. A new kind is one line in WORKERS."""

from collections.abc import Callable
from dataclasses import dataclass

from adapters.tools.smtp import domain_of, smtp
from adapters.tools.webhook import Post, webhook
from adapters.workers.analytics_record import analytics_record
from adapters.workers.email_order_confirmation import email_order_confirmation
from adapters.workers.email_welcome import email_welcome
from adapters.workers.letter import Letters
from adapters.workers.probe import probe
from adapters.workers.warehouse_notify import warehouse_notify
from domain import analytics, confirmation, email, warehouse
from domain.job import Work, Worker
from domain.kind import AnyKind
from domain.log import Log
from domain.probe import KIND as PROBE
from infra.clock import Clock
from infra.settings import Settings
from infra.stories import Stories


@dataclass(frozen=True, slots=True)
class Tools:
    """What workers hold in their hands."""

    stories: Stories
    letters: Letters
    post: Post
    warehouse: str  # the address of the warehouse


WORKERS: tuple[tuple[AnyKind, Callable[[Tools], Work]], ...] = (
    (PROBE, lambda _: probe),
    (email.KIND, lambda tools: email_welcome(tools.letters)),
    (confirmation.KIND, lambda tools: email_order_confirmation(tools.stories.order, tools.letters)),
    (warehouse.KIND, lambda tools: warehouse_notify(tools.stories.order, tools.post, tools.warehouse)),
    (analytics.KIND, lambda tools: analytics_record(tools.stories.record)),
)
KINDS: dict[str, AnyKind] = {kind.name: kind for kind, _ in WORKERS}
QUEUES: tuple[str, ...] = tuple(sorted({kind.queue for kind in KINDS.values()}))


def workers(settings: Settings, log: Log) -> dict[str, Worker]:
    """Every kind's worker, with its tools in its hands."""
    stories, send = Stories(log, Clock()), smtp(settings.smtp, settings.mail_from)
    tools = Tools(
        stories=stories,
        letters=Letters(stories.account, send, domain_of(settings.mail_from)),
        post=webhook(settings.webhook_secret, settings.webhook_private),
        warehouse=settings.webhook_url,
    )
    return {kind.name: Worker(kind, work(tools)) for kind, work in WORKERS}
