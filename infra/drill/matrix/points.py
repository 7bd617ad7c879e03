"""The crash points: at every step at which a role can die, by name. Those of the engine stand here, those of the heavy
work beside."""

from collections.abc import Mapping

from domain.task import CancelRequested, Status
from infra.drill.matrix.heavy_points import HEAVY
from infra.drill.matrix.passing import answered, becomes, ended, filled, rescued, tells
from infra.drill.matrix.point import USUAL, Point

MAIL, NOTICE = frozenset({"email"}), frozenset({"webhook"})
BOTH = MAIL | NOTICE
ACCEPTED = (*USUAL, "waiting", "upload", "film", "image", "report", "search")
RELEASED = ("webhook", "waiting", "film", "report")
DUE = ("scheduled", "stumbling")
LOST = ("rescue", "abandoned", "frozen")
LOG = "adapters.postgres.log:PostgresLog"
TASKS = "adapters.postgres.tasks:PostgresTasks"
SENT, POSTED, ACKED = "aiosmtplib:send", "adapters.tools.webhook:_post", "infra.roles.crew:Crew._acknowledge"
ENGINE: Mapping[str, Point] = {
    "accepted": Point("api", f"{LOG}.append", kinds=ACCEPTED),
    "committed, not answered": Point("api", f"{LOG}.append", after=True, kinds=ACCEPTED),
    "cancel to be asked for": Point("api", f"{LOG}.append", asked=tells(CancelRequested), kinds=("cancel",)),
    "cancel asked for": Point("api", f"{LOG}.append", after=True, asked=tells(CancelRequested), kinds=("cancel",)),
    "sequenced": Point("relay", "adapters.postgres.leadership:Leadership.sequence", after=True, asked=answered),
    "to be published": Point("relay", "adapters.nats.stream:LogStream.publish", asked=filled("lines")),
    "published and acknowledged": Point(
        "relay", "adapters.nats.stream:LogStream.publish", after=True, asked=filled("lines")
    ),
    "cursor moved": Point("relay", "adapters.postgres.mirror:MirroredLedger.reached", after=True),
    "due, to be queued": Point("relay", f"{TASKS}.settle", asked=becomes(Status.QUEUED), kinds=DUE),
    "due and queued": Point("relay", f"{TASKS}.settle", after=True, asked=becomes(Status.QUEUED), kinds=DUE),
    "lease run out": Point("relay", f"{TASKS}.expired", after=True, asked=answered, kinds=LOST),
    "rescue to be written": Point("relay", f"{TASKS}.settle", asked=rescued, kinds=LOST),
    "rescued": Point("relay", f"{TASKS}.settle", after=True, asked=rescued, kinds=LOST),
    "queued again, to be rung": Point("relay", "infra.roles.relay:ring_queue", kinds=(*DUE, "rescue")),
    # The attempt may be under way when a bell of the stream comes: one on the doorbell was faster.
    "fetched": Point("worker", "infra.roles.crew:Crew.hear", asked=filled("bells"), admits=BOTH, late=True),
    "to be claimed": Point("worker", f"{TASKS}.claim", asked=filled("ids"), late=True),
    "claimed": Point("worker", f"{TASKS}.claim", after=True, asked=answered),
    "to be acknowledged": Point("worker", ACKED, asked=filled("bells"), admits=BOTH, late=True),
    "acknowledged": Point("worker", ACKED, after=True, asked=filled("bells"), admits=BOTH, late=True),
    "to be worked on": Point("worker", "infra.roles.runs:Runs._attempt"),
    "mail to be sent": Point("worker", SENT, kinds=("email", "webhook")),
    "mail sent": Point("worker", SENT, after=True, admits=MAIL, kinds=("email", "webhook")),
    "notice to be posted": Point("worker", POSTED, kinds=("webhook",)),
    "notice posted": Point("worker", POSTED, after=True, admits=NOTICE, kinds=("webhook",)),
    "worked on": Point("worker", "infra.roles.runs:Runs._attempt", after=True, admits=BOTH),
    "end to be written": Point("worker", f"{TASKS}.settle", asked=ended(), admits=BOTH),
    "end written": Point("worker", f"{TASKS}.settle", after=True, asked=ended()),
    "stumble to be written": Point("worker", f"{TASKS}.settle", asked=becomes(Status.SCHEDULED), kinds=("stumbling",)),
    "stumble written": Point(
        "worker", f"{TASKS}.settle", after=True, asked=becomes(Status.SCHEDULED), kinds=("stumbling",)
    ),
    "cancel heard": Point("worker", "infra.roles.runs:Runs._cancel", kinds=("cancel",)),
    "cancel to be confirmed": Point("worker", f"{TASKS}.settle", asked=becomes(Status.CANCELLED), kinds=("cancel",)),
    "cancel confirmed": Point(
        "worker", f"{TASKS}.settle", after=True, asked=becomes(Status.CANCELLED), kinds=("cancel",)
    ),
    "to be applied": Point("reader", "adapters.postgres.readers:following", after=True, asked=answered),
    "applied": Point("reader", "adapters.postgres.readers:step", after=True, asked=answered),
    "to be released": Point("reader", "domain.release:_release", asked=filled("waiting"), kinds=RELEASED),
    "released, not committed": Point(
        "reader", "infra.roles.reader:release_waiting", after=True, asked=answered, kinds=RELEASED
    ),
    "released, to be rung": Point("reader", "infra.roles.reader:ring_queue", kinds=RELEASED),
}
POINTS: Mapping[str, Point] = {**ENGINE, **HEAVY}
