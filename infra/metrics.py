"""What relay, worker and reader tell Prometheus, each on a port of its own (setting `metrics_port`)."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, start_http_server

from domain.mirror import Line
from domain.outcome import Outcome
from domain.task import Task
from infra.exits import Refused
from infra.settings import Settings

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0)
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
BUILD = Gauge("postcommit_build_info", "1; the version is the label.", ("version",), registry=REGISTRY)
BUILD.labels(version("postcommit")).set(1)
LEADS = Gauge("postcommit_relay_leads", "Whether this relay leads.", registry=REGISTRY)
NUMBERED = Counter("postcommit_relay_numbered", "Facts that this relay gave a position.", registry=REGISTRY)
MIRRORED = Counter("postcommit_relay_mirrored", "Facts that the stream LOG acknowledged.", registry=REGISTRY)
RESCUED = Counter("postcommit_relay_rescued", "Tasks that had lost their worker.", registry=REGISTRY)
APPLIED = Counter("postcommit_reader_applied", "Facts that a reader has applied.", ("reader",), registry=REGISTRY)
ATTEMPTS = Counter("postcommit_attempts", "Attempts, as they ended.", ("kind", "outcome"), registry=REGISTRY)
HELD = Gauge("postcommit_worker_held", "Tasks that this worker runs now.", registry=REGISTRY)
SLOTS = Gauge("postcommit_worker_slots", "Tasks that it may run at once.", registry=REGISTRY)
LEG = Histogram(
    "postcommit_leg_seconds",
    "sequence: written until numbered; publish: numbered until in the stream; mirror: both; "
    "claim: due until claimed; run: claimed until it ended.",
    ("leg",),
    registry=REGISTRY,
    buckets=SECONDS,
)
SEQUENCE, PUBLISH, MIRROR, CLAIM, RUN = map(LEG.labels, ("sequence", "publish", "mirror", "claim", "run"))
NUMBERINGS: deque[tuple[int, int, datetime]] = deque(maxlen=10_000)  # after which position, up to which, when


@contextmanager
def served(settings: Settings) -> Iterator[None]:
    """Answer scrapes for as long as the block runs, from a thread; not where the port is 0. Raises Refused."""
    if not settings.metrics_port:
        yield
        return
    try:
        server, thread = start_http_server(settings.metrics_port, settings.host, REGISTRY)
    except OSError as error:
        where = f"{settings.host}:{settings.metrics_port}"
        raise Refused(f"The metrics cannot be told at {where}: {os.strerror(error.errno or 0)}.") from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def begun(task: Task, now: datetime) -> None:
    """A worker has claimed it."""
    if task.due_at is not None:
        CLAIM.observe(_between(task.due_at, now))


def ended(kind: str, outcome: Outcome, seconds: float) -> None:
    """Its attempt has ended so, as the worker knows."""
    _attempts(kind, type(outcome)).inc()
    RUN.observe(seconds)


@cache
def _attempts(kind: str, outcome: type[Outcome]) -> Counter:
    return ATTEMPTS.labels(kind, outcome.__name__.lower())


def numbered(count: int, last: int, now: datetime) -> None:
    """So many facts have a position, up to the last."""
    NUMBERED.inc(count)
    NUMBERINGS.append((last - count, last, now))


def mirrored(lines: Sequence[Line], now: datetime) -> None:
    """These were acknowledged by the stream."""
    MIRRORED.inc(len(lines))
    for line in lines:
        if (at := _numbered_at(line.position)) is not None:  # what is told again is long past
            MIRROR.observe(_between(line.at, now))
            SEQUENCE.observe(_between(line.at, at))
            PUBLISH.observe(_between(at, now))


def _numbered_at(position: int) -> datetime | None:
    """None where another relay numbered it, or this one long ago; each is asked for once, in order."""
    while NUMBERINGS and NUMBERINGS[0][1] < position:
        NUMBERINGS.popleft()
    return NUMBERINGS[0][2] if NUMBERINGS and NUMBERINGS[0][0] < position else None


def _between(begin: datetime, end: datetime) -> float:
    return max((end - begin).total_seconds(), 0.0)
