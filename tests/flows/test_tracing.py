"""Does a collector that is away cost nothing but its spans?"""

from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from domain.holding import Held
from domain.outcome import Done, Error, Refused
from domain.task import Task
from infra.exits import Refused as NotStarted
from infra.settings import Settings
from infra.telemetry import OFF, telemetry
from infra.tracing import Tracing

HELD = Held(uuid4(), Task(kind="probe", queue="default", attempt=1, turn=1), None, None)


@pytest.mark.timeout(30)
def test_a_collector_that_is_away_keeps_nobody_waiting_and_is_complained_of_once() -> None:
    tracing = Tracing("http://127.0.0.1:1", "worker-1")
    with capture_logs() as said:
        for _ in range(5_000):  # more than are kept
            with tracing.attempt(HELD) as attempt:
                attempt.ended(Refused(error=Error(type="x", detail="of Ada")))
        tracing.end()
    assert [line["event"] for line in said] == ["telemetry.failed"]
    assert said[0]["log_level"] == "warning" and said[0]["error"]


def test_off_is_off_and_passes_on_where_the_request_came_from() -> None:
    off = telemetry(Settings(), "api-1")
    assert off is OFF
    caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with off.attempt(Held(HELD.id, HELD.task, None, caller)) as attempt:
        attempt.ended(Done(result=None))
        assert attempt.traceparent == caller


def test_without_the_extra_the_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "infra.tracing", None)
    with pytest.raises(NotStarted, match=r"pip install 'postcommit\[otel\]'"):
        telemetry(Settings(otel="http://127.0.0.1:4318"), "api-1")
