"""What the verdict rests on: what was meant and heard, the log, what arrived at the far sides, and who watched."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from infra.drill.intents import Heard, Intent

ENDS = ("completed", "failed", "cancelled")
FIRST = ("queued", "scheduled", "waiting")
STARTED = "started"
LOST = "rescued"
ATTEMPT_OVER = (*ENDS, "stumbled", LOST, STARTED)


@dataclass(frozen=True, slots=True)
class Line:
    """A fact as the auditor was told it."""

    position: int
    id: str
    stream: str
    name: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault, from its begin to its end, and the paths on which it may repeat an effect."""

    kind: str
    began: datetime
    ended: datetime
    touches: frozenset[str]


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a far side has taken."""

    path: str  # email, webhook
    name: str  # its Message-ID, its webhook-id
    task: str  # "": none is named
    about: str  # to whom and what: `drill-7@example.com: Welcome, Drill 7`, `order.confirmed: <order>`
    at: datetime


@dataclass(frozen=True, slots=True)
class Live:
    """A message that a subscriber of NATS was handed."""

    position: int
    id: str  # "": it names no fact
    at: datetime


@dataclass(slots=True)
class Attempt:
    """One delivery of a task to a worker, by the facts that begin and end it; None: nothing ended it."""

    began: datetime
    ended: datetime | None = None
    lost: bool = False  # it ended because nobody had heard of its worker for a lease


@dataclass(slots=True)
class Life:
    """A task as the log tells of it."""

    id: str
    kind: str = ""
    request: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()  # tasks that must be complete before it can begin
    began: datetime | None = None
    moved: list[datetime] = field(default_factory=list)  # when its facts were written, in order
    attempts: list[Attempt] = field(default_factory=list)
    ends: list[Line] = field(default_factory=list)

    @property
    def ended(self) -> datetime | None:
        return written(self.ends[0].id) if self.ends else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All of it."""

    intents: Sequence[Intent]
    heard: Mapping[int, Heard]
    lines: Sequence[Line]
    arrivals: Sequence[Arrival]
    struck: Sequence[Struck]
    statuses: Mapping[int, int]  # HTTP status -> answers
    seen_live: Mapping[int, str]  # position -> id, as a reader of the REST API saw it meanwhile
    subscribed: Sequence[Live]  # what a subscriber of NATS was handed meanwhile
    files: int  # on this disk
    torn: Sequence[str]  # those whose bytes are not what their names say
    things: Mapping[str, str]  # id of an image, a video, a report, an upload -> what it is and its status, at the end
    broken: Sequence[str]  # invariants that do not hold at the end
    broken_meanwhile: Sequence[str]  # those that must hold at any moment, and did not
    beyond: Sequence[str]  # what grew without end
    unquiet: Sequence[str]  # what had not come to an end long after the last fault
    failed: Sequence[str]  # faults that could not strike


def lives_of(lines: Iterable[Line]) -> dict[str, Life]:
    """Every task of the log."""
    found: dict[str, Life] = {}
    for line in lines:
        category, _, id = line.stream.partition("-")
        if category != "task":
            continue
        life = found.setdefault(id, Life(id))
        name = line.name.partition(".")[2]
        life.moved.append(written(line.id))
        if name in ATTEMPT_OVER and life.attempts and life.attempts[-1].ended is None:
            life.attempts[-1].ended, life.attempts[-1].lost = life.moved[-1], name == LOST
        if name == STARTED:
            life.attempts.append(Attempt(life.moved[-1]))
        if life.began is None and name in FIRST:
            asked = line.data.get("asked") or {}
            life.began, life.kind, life.request = life.moved[0], asked.get("kind", ""), asked.get("request", {})
            life.needs = tuple(map(str, asked.get("needs") or ()))
        if name in ENDS:
            life.ends.append(line)
    return found


def written(id: str) -> datetime:
    """When a fact was written: its id says so (UUIDv7, RFC 9562 5.7) also where a worker's clock is moved."""
    return datetime.fromtimestamp((UUID(id).int >> 80) / 1_000, UTC)


def allowed(status: int) -> bool:
    """Whether the API may answer so under faults."""
    return status < 500 or status in (503, 507)
