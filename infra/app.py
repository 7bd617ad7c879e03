"""It all comes together here: the kinds and what does their work. A new kind is one line in WORKERS."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from adapters.postgres.database import Database
from adapters.postgres.log import PostgresLog
from adapters.postgres.search import Rebuild
from adapters.postgres.tasks import PostgresTasks
from adapters.tools.images import Images
from adapters.tools.paper import Paper
from adapters.tools.smtp import domain_of, smtp
from adapters.tools.webhook import Post, webhook
from adapters.workers.analytics_record import analytics_record
from adapters.workers.email_order_confirmation import email_order_confirmation
from adapters.workers.email_welcome import email_welcome
from adapters.workers.films import Studio
from adapters.workers.image_sizes import image_sizes
from adapters.workers.letter import Letters
from adapters.workers.probe import probe
from adapters.workers.removal import Remove, removal
from adapters.workers.report_bind import report_bind
from adapters.workers.report_plan import report_plan
from adapters.workers.report_section import report_section
from adapters.workers.reports import Office
from adapters.workers.search_rebuild import search_rebuild
from adapters.workers.video_package import video_package
from adapters.workers.video_probe import video_probe
from adapters.workers.video_segment import video_segment
from adapters.workers.video_sound import video_sound
from adapters.workers.video_stills import video_stills
from adapters.workers.warehouse_notify import warehouse_notify
from domain import analytics, confirmation, email, image, lineage, report, search, transcoding, warehouse
from domain.job import Work, Worker
from domain.kind import AnyKind
from domain.probe import KIND as PROBE
from domain.removal import KIND as REMOVAL
from infra.clock import Clock
from infra.deciding import Deciding
from infra.films import Films
from infra.removal import Removal
from infra.reports import Reports
from infra.settings import Settings
from infra.stories import Stories
from infra.studio import shelf_of, studio_of


@dataclass(frozen=True, slots=True)
class Tools:
    """What workers hold in their hands."""

    stories: Stories
    letters: Letters
    post: Post
    warehouse: str  # the address of the warehouse
    studio: Studio
    images: Images
    office: Office
    remove: Remove
    rebuild: Callable[[UUID], Rebuild]


WORKERS: tuple[tuple[AnyKind, Callable[[Tools], Work]], ...] = (
    (PROBE, lambda _: probe),
    (email.KIND, lambda tools: email_welcome(tools.letters)),
    (confirmation.KIND, lambda tools: email_order_confirmation(tools.stories.order, tools.letters)),
    (warehouse.KIND, lambda tools: warehouse_notify(tools.stories.order, tools.post, tools.warehouse)),
    (analytics.KIND, lambda tools: analytics_record(tools.stories.record)),
    (transcoding.PROBE, lambda tools: video_probe(tools.studio)),
    (transcoding.SEGMENT, lambda tools: video_segment(tools.studio)),
    (transcoding.SOUND, lambda tools: video_sound(tools.studio)),
    (transcoding.PACKAGE, lambda tools: video_package(tools.studio)),
    (transcoding.STILLS, lambda tools: video_stills(tools.studio)),
    (image.KIND, lambda tools: image_sizes(tools.stories.image, tools.studio.shelf, tools.images)),
    (report.PLAN, lambda tools: report_plan(tools.office)),
    (report.SECTION, lambda tools: report_section(tools.office)),
    (report.BIND, lambda tools: report_bind(tools.office)),
    (search.KIND, lambda tools: search_rebuild(tools.rebuild)),
    (REMOVAL, lambda tools: removal(tools.remove)),
)
KINDS: dict[str, AnyKind] = {kind.name: kind for kind, _ in WORKERS}
QUEUES: tuple[str, ...] = tuple(sorted({kind.queue for kind in KINDS.values()}))


def workers(settings: Settings, database: Database) -> dict[str, Worker]:
    """Every kind's worker, with its tools in its hands. Raises Refused."""
    log, tasks, clock = PostgresLog(database), PostgresTasks(database), Clock()
    deciding, shelf = Deciding(log, clock, KINDS), shelf_of(settings, database)
    stories, send = Stories(log, clock), smtp(settings.smtp, settings.mail_from)
    needed = partial(lineage.needed, read=tasks.get)
    tools = Tools(
        stories=stories,
        letters=Letters(stories.account, send, domain_of(settings.mail_from)),
        post=webhook(settings.webhook_secret, settings.webhook_private),
        warehouse=settings.webhook_url,
        studio=studio_of(settings, shelf, Films(deciding), needed),
        images=Images([int(side) for side in settings.image_sides]),
        office=Office(Reports(deciding, database), shelf, Paper(), needed),
        remove=Removal(deciding, tasks).remove,
        rebuild=partial(Rebuild, database),
    )
    return {kind.name: Worker(kind, work(tools)) for kind, work in WORKERS}
