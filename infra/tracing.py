"""OpenTelemetry: spans of requests, attempts and batches, sent by OTLP over HTTP in the background."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from threading import Thread

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    format_trace_id,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from adapters.http.origin import TRACED, traceparent_of
from domain.holding import Held
from domain.mirror import Line
from domain.outcome import Done, Outcome, Stopped

logger = structlog.get_logger()
CONTEXT = TraceContextTextMapPropagator()
HEADER = "traceparent"
TIMEOUT_S = 3  # of the collector
END_S = 2.0  # for what is left at the end
SILENT_S = 60.0  # between two complaints that it is away
MOST_LINKS = 128  # of one span, as the SDK has it


class Tracing:
    """Spans of one process. The sampler is OpenTelemetry's own: OTEL_TRACES_SAMPLER, else what the caller samples."""

    def __init__(self, collector: str, name: str) -> None:
        logging.getLogger("opentelemetry").addHandler(Complaints())
        resource = {"service.name": "postcommit", "service.version": version("postcommit"), "service.instance.id": name}
        self._provider = TracerProvider(resource=Resource.create(resource), shutdown_on_exit=False)
        exporter = OTLPSpanExporter(f"{collector.rstrip('/')}/v1/traces", timeout=TIMEOUT_S)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1_000))
        self._tracer = self._provider.get_tracer("postcommit")

    def requests(self, app: ASGIApp) -> ASGIApp:
        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP:
                await app(scope, receive, send)
                return
            method = scope["method"]
            span = self._span(method, SpanKind.SERVER, traceparent_of(scope), {"http.request.method": method})
            scope.setdefault("state", {})[TRACED] = _traceparent(span)

            async def told(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _answered(span, method, scope.get("path_template"), message["status"])
                await send(message)

            try:
                with structlog.contextvars.bound_contextvars(trace_id=_trace_id(span)):
                    await app(scope, receive, told)
            finally:
                span.end()

        return traced

    @contextmanager
    def attempt(self, held: Held) -> Iterator["TracedAttempt"]:
        task = held.task
        known = {"messaging.system": "postcommit", "messaging.operation.type": "process"}
        known |= {"messaging.message.id": str(held.id), "messaging.destination.name": task.queue}
        numbers = {"postcommit.attempt": task.attempt, "postcommit.turn": task.turn}
        span = self._span(f"process {task.kind}", SpanKind.CONSUMER, held.traceparent, known | numbers)
        try:
            with structlog.contextvars.bound_contextvars(trace_id=_trace_id(span)):
                yield TracedAttempt(span)
        finally:
            span.end()

    def mirrored(self, lines: Sequence[Line], begin_ns: int) -> None:
        links = [Link(context) for line in lines[:MOST_LINKS] if (context := _context(line.headers.get(HEADER)))]
        if not links:
            return
        known = {"messaging.system": "nats", "messaging.operation.type": "send", "messaging.destination.name": "LOG"}
        span = self._tracer.start_span(
            "send LOG",
            kind=SpanKind.PRODUCER,
            attributes=known | {"messaging.batch.message_count": len(lines)},
            links=links,
            start_time=begin_ns,
        )
        span.end()

    def end(self) -> None:
        """The SDK tries for half a minute where the collector is away; a role has no time for that."""
        ending = Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(END_S)

    def _span(self, name: str, kind: SpanKind, traceparent: str | None, known: dict[str, str | int]) -> Span:
        parent = CONTEXT.extract({HEADER: traceparent} if traceparent else {})
        return self._tracer.start_span(name, context=parent, kind=kind, attributes=known)


class TracedAttempt:
    """An attempt that has a span."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self.traceparent: str | None = _traceparent(span)

    def ended(self, outcome: Outcome) -> None:
        """The type of an error is told, its text is not: it may name a person."""
        self._span.set_attribute("postcommit.outcome", type(outcome).__name__.lower())
        if not isinstance(outcome, Done | Stopped):
            self._span.set_attribute("error.type", outcome.error.type)
            self._span.set_status(Status(StatusCode.ERROR))


class Complaints(logging.Handler):
    """What OpenTelemetry has to say: one line a minute. Nothing waits for the collector, and what it misses is lost."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said = float("-inf")

    def emit(self, record: logging.LogRecord) -> None:
        if time.monotonic() - self._said > SILENT_S:
            self._said = time.monotonic()
            logger.warning("telemetry.failed", error=record.getMessage()[:300])


def _answered(span: Span, method: str, route: object, status: int) -> None:
    if route is not None:
        span.update_name(f"{method} {route}")
        span.set_attribute("http.route", str(route))
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_status(Status(StatusCode.ERROR))


def _traceparent(span: Span) -> str | None:
    carrier: dict[str, str] = {}
    CONTEXT.inject(carrier, set_span_in_context(span))
    return carrier.get(HEADER)


def _context(traceparent: str | None) -> SpanContext | None:
    if traceparent is None:
        return None
    found = get_current_span(CONTEXT.extract({HEADER: traceparent})).get_span_context()
    return found if found.is_valid else None


def _trace_id(span: Span) -> str:
    return format_trace_id(span.get_span_context().trace_id)
