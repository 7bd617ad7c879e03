"""What Prometheus is told: of this process as it counts it, of everybody as Postgres knows it.

No label is a caller's word: routes are templates, kinds are those of the program."""

import asyncio
import time
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import TypeVar

import structlog
from litestar import Request, Response
from litestar.datastructures import State
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from adapters.http.auth import PATIENT, needs
from adapters.http.described import Reply, described
from adapters.http.methods import get
from adapters.http.service import Service
from domain.access import Key, Right
from domain.views import Balance
from domain.views import Gauge as Told

logger = structlog.get_logger()
T = TypeVar("T")
METRICS = "metrics"
TYPE = "text/plain; version=0.0.4"
FRESH_S, PATIENCE_S = 1.0, 2.0  # how long an answer of Postgres serves; how long each of two may take
MOST_UNFOLDED = 50_000  # facts that the balance is counted over for a scrape
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
ELSEWHERE = "other"  # what is no route, or no method of ours
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
GAUGES = {  # of Postgres: what each means, and its labels
    "log_position": ("The last position of the log.", ()),
    "outbox_depth": ("Facts without a position yet, at most 100,000.", ()),
    "outbox_oldest_seconds": ("Age of the oldest fact without a position.", ()),
    "relay_silent_seconds": ("Since the leading relay was heard.", ()),
    "cursor_position": ("How far a reader or the mirror is.", ("cursor",)),
    "cursor_behind": ("How many facts it is behind.", ("cursor",)),
    "cursor_behind_seconds": ("Age of the first fact that it has not seen.", ("cursor",)),
    "tasks": ("Tasks that are open, at most 100,000 of each status.", ("status",)),
    "queue_oldest_seconds": ("Since the longest waiting task of a queue was due.", ("queue",)),
    "balance": ("Tasks accepted, and where they are.", ("state",)),
    "balance_difference": ("Accepted minus all others: anything but 0 is an error of the program.", ()),
}
COUNTERS = {
    "tasks": ("Tasks (accepted, complete, failed, cancelled), attempts (stumbled, rescued).", ("kind", "outcome"))
}
EXAMPLE = "# HELP postcommit_outbox_depth Facts without a position yet, at most 100,000.\npostcommit_outbox_depth 0.0\n"
SEE = described("see_metrics", "Health", {200: Reply(str, EXAMPLE, media_type="text/plain")})


class Metrics:
    """What one API process counts, and the latest answer of Postgres."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._queues = sorted({kind.queue for kind in service.kinds.values()})
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        labels = ("method", "route", "status")
        self._requests = Counter("postcommit_http_requests", "Requests answered.", labels, registry=self._registry)
        self._seconds = Histogram(
            "postcommit_http_request_seconds",
            "Until the answer begins; long polls wait on purpose.",
            labels[:2],
            registry=self._registry,
            buckets=SECONDS,
        )
        built = Gauge("postcommit_build_info", "1; the version is the label.", ("version",), registry=self._registry)
        built.labels(version("postcommit")).set(1)
        self._nats = Gauge("postcommit_nats_up", "Whether this process is connected to NATS.", registry=self._registry)
        self._postgres = Gauge("postcommit_postgres_up", "Whether Postgres answered.", registry=self._registry)
        self._away: tuple[type[Exception], ...] = (*service.problems, TimeoutError)
        self._series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._asking = asyncio.Lock()
        self._asked_at = float("-inf")
        self._told: list[Told] = []

    def count(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count an answer, and the seconds until it began; a route of None was not found."""
        labels = (method if method in METHODS else ELSEWHERE, route or ELSEWHERE, status)
        if (series := self._series.get(labels)) is None:  # to find one by its labels takes longer than to count
            series = self._requests.labels(*labels), self._seconds.labels(*labels[:2])
            self._series[labels] = series
        requests, times = series
        requests.inc()
        times.observe(seconds)

    def families(self) -> Iterable[Metric]:
        """What this process counts by itself."""
        return self._registry.collect()

    async def text(self) -> bytes:
        """In Prometheus' own format."""
        await self._ask()
        self._nats.set(await self._service.checks["nats"]() if "nats" in self._service.checks else 0)
        from_postgres = CollectorRegistry()
        from_postgres.register(_Families(list(_families(self._told))))
        return generate_latest(self._registry) + generate_latest(from_postgres)

    async def _ask(self) -> None:
        """Ask Postgres, once a second at most. What it does not answer is not told: old numbers mislead."""
        async with self._asking:
            if time.monotonic() - self._asked_at < FRESH_S:
                return
            queries = self._service.queries
            told = await self._answered(queries.gauges(self._queues))
            balance = await self._answered(queries.balance()) if told and _unfolded(told) <= MOST_UNFOLDED else None
            self._told = [*(told or ()), *(_balance(balance) if balance else ())]
            self._postgres.set(bool(told))
            self._asked_at = time.monotonic()

    async def _answered(self, question: Awaitable[T]) -> T | None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await question
        except self._away as error:
            logger.warning("metrics.failed", error=type(error).__name__)
            return None


class _Families(Collector):
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _families(told: Sequence[Told]) -> Iterator[Metric]:
    for name, (words, labels) in GAUGES.items():
        gauge = GaugeMetricFamily(f"postcommit_{name}", words, labels=labels)
        for one in told:
            if one.name == name:
                gauge.add_metric(one.labels, one.value)
        yield gauge
    for name, (words, labels) in COUNTERS.items():
        counter = CounterMetricFamily(f"postcommit_{name}", words, labels=labels)
        for one in told:
            if one.name == f"{name}_total":
                counter.add_metric(one.labels, one.value)
        yield counter


def _unfolded(told: Sequence[Told]) -> float:
    """How many facts the balance would be counted over, because no reader has folded them."""
    waits = (("outbox_depth", ()), ("cursor_behind", ("balance",)))
    return sum(one.value for one in told if (one.name, one.labels) in waits)


def _balance(balance: Balance) -> Iterator[Told]:
    for state in ("accepted", "complete", "failed", "cancelled", "open"):
        yield Told("balance", (state,), getattr(balance, state))
    yield Told("balance_difference", (), balance.difference)


@get("/metrics", opt=needs(Right.READ_LOG) | PATIENT | SEE)
async def see_metrics(request: Request[Key, object, State]) -> Response[bytes]:
    """The metrics of this process and of the log, as Prometheus reads them."""
    metrics: Metrics = request.app.state[METRICS]
    return Response(await metrics.text(), media_type=TYPE)
