"""Traces, where the setting `otel` names a collector: from the request over the log to every attempt of its tasks.

Without it nothing of OpenTelemetry is imported. The context travels as the `traceparent` of facts and tasks."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from domain.holding import Held
from domain.mirror import Line
from domain.outcome import Outcome
from infra.exits import Refused
from infra.settings import Settings

if TYPE_CHECKING:  # a worker needs no litestar
    from litestar.types import ASGIApp


class Attempt(Protocol):
    """One attempt, while it is traced."""

    traceparent: str | None  # of what the attempt causes

    def ended(self, outcome: Outcome) -> None: ...


class Telemetry(Protocol):
    def requests(self, app: "ASGIApp") -> "ASGIApp":
        """The application, with a span for each request; what the request writes belongs to it."""

    @contextmanager
    def attempt(self, held: Held) -> Iterator[Attempt]:
        """A span for as long as the block runs, in the trace of the request that asked for the task."""

    def mirrored(self, lines: Sequence[Line], begin_ns: int) -> None:
        """These were told to NATS, since `begin_ns` (Unix time)."""

    def end(self) -> None:
        """Send what is left; at most some seconds."""


class Untraced:
    """The attempt belongs to where its request came from, and nobody is told."""

    def __init__(self, traceparent: str | None) -> None:
        self.traceparent = traceparent

    def ended(self, outcome: Outcome) -> None:
        return


class Off:
    """No telemetry."""

    def requests(self, app: "ASGIApp") -> "ASGIApp":
        return app

    @contextmanager
    def attempt(self, held: Held) -> Iterator[Attempt]:
        yield Untraced(held.traceparent)

    def mirrored(self, lines: Sequence[Line], begin_ns: int) -> None:
        return

    def end(self) -> None:
        return


OFF = Off()


def telemetry(settings: Settings, name: str) -> Telemetry:
    """What the settings ask for; `name` is that of the process. Raises Refused where it is not installed."""
    if not settings.otel:
        return OFF
    try:
        from infra.tracing import Tracing
    except ImportError as error:
        raise Refused(f"The setting otel needs the extra: pip install 'postcommit[otel]' ({error}).") from error
    return Tracing(settings.otel, name)
