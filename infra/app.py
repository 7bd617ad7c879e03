"""It all comes together here: the kinds and what does their work. A new kind is one line in WORKERS."""

from collections.abc import Callable
from dataclasses import dataclass

from adapters.tools.smtp import Send, domain_of, smtp
from adapters.tools.webhook import Post, webhook
from adapters.workers.analytics_record import analytics_record
from adapters.workers.email_order_confirmation import email_order_confirmation
from adapters.workers.email_welcome import email_welcome
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
    send: Send
    mail_domain: str
    post: Post
    warehouse: str  # the address of the warehouse


WORKERS: tuple[tuple[AnyKind, Callable[[Tools], Work]], ...] = (
    (PROBE, lambda _: probe),
    (email.KIND, lambda tools: email_welcome(tools.stories.account, tools.send, tools.mail_domain)),
    (
        confirmation.KIND,
        lambda tools: email_order_confirmation(
            tools.stories.order, tools.stories.account, tools.send, tools.mail_domain
        ),
    ),
    (warehouse.KIND, lambda tools: warehouse_notify(tools.stories.order, tools.post, tools.warehouse)),
    (analytics.KIND, lambda tools: analytics_record(tools.stories.record)),
)
KINDS: dict[str, AnyKind] = {kind.name: kind for kind, _ in WORKERS}
QUEUES: tuple[str, ...] = tuple(sorted({kind.queue for kind in KINDS.values()}))


def workers(settings: Settings, log: Log) -> dict[str, Worker]:
    """Every kind's worker, with its tools in its hands."""
    tools = Tools(
        stories=Stories(log, Clock()),
        send=smtp(settings.smtp, settings.mail_from),
        mail_domain=domain_of(settings.mail_from),
        post=webhook(settings.webhook_secret, settings.webhook_private),
        warehouse=settings.webhook_url,
    )
    return {kind.name: Worker(kind, work(tools)) for kind, work in WORKERS}
