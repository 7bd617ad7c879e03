"""Does Postgres keep its word on the lives of tasks, in whatever order things come? A model goes along."""

import asyncio
import logging
from collections.abc import Callable, Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from adapters.postgres import leadership
from tests.contracts.doors import opened
from tests.contracts.steps import LivesOfTasks


@pytest.fixture
def quiet() -> Iterator[None]:
    """Thousands of lines would hide the steps of the example that failed."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


def walk(dsn: Callable[[str], str], form: settings) -> None:
    """Every example begins with an empty log; the servers and the connections stay."""
    with asyncio.Runner() as runner:
        context = opened(dsn("postcommit"), dsn("postgres"))
        doors = runner.run(context.__aenter__())
        try:
            run_state_machine_as_test(lambda: LivesOfTasks(doors, runner.run), settings=form)
        finally:
            runner.run(context.__aexit__(None, None, None))


PATIENT = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
FORM = settings(deadline=None, suppress_health_check=PATIENT, print_blob=True)
SHORT = settings(FORM, max_examples=40, stateful_step_count=30, derandomize=True)
LONG = settings(FORM, max_examples=2_000, stateful_step_count=50)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    "form", [SHORT, pytest.param(LONG, marks=[pytest.mark.long, pytest.mark.timeout(3_600)])], ids=["short", "long"]
)
def test_lives_go_as_the_model_says(dsn: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, form: settings) -> None:
    monkeypatch.setattr(leadership, "LOW_EVERY_S", 0.0)  # gaps in the outbox are looked at every time
    walk(dsn, form)
