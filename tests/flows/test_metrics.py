"""Does an operator see what is so, and nothing that a caller made up?"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import asyncpg
import httpx
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from adapters.http import metrics as served_metrics
from adapters.postgres.readers import FOLDS
from domain.mirror import Line
from domain.outcome import Done
from domain.task import Task
from infra import metrics
from infra.embedded.home import free_port
from infra.exits import Refused
from infra.settings import Settings
from tests.flows.conftest import Api
from tests.flows.test_http_tasks import complete, requested

Labels = frozenset[tuple[str, str]]
MADE_UP = re.compile(r"made-?\d", re.IGNORECASE)


def scraped(text: str) -> dict[tuple[str, Labels], float]:
    """Every sample, by its name and labels."""
    found: dict[tuple[str, Labels], float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            at = sample.name, frozenset(sample.labels.items())
            assert at not in found, f"{at} is told twice"
            found[at] = sample.value
    return found


def of(samples: dict[tuple[str, Labels], float], name: str, **labels: str) -> float:
    return samples[f"postcommit_{name}", frozenset(labels.items())]


async def told(http: httpx.AsyncClient) -> dict[tuple[str, Labels], float]:
    answer = await http.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return scraped(answer.text)


async def test_the_numbers_are_those_of_the_log_and_its_tasks(api: Api) -> None:
    async with api.operator as http:
        done, failed, *_ = [await requested(http) for _ in range(4)]
        later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        answer = await http.post("/v1/tasks", json={"kind": "probe", "request": {}, "due_at": later})
        assert answer.status_code == 202
        await complete(api, done["id"])
        await api.claim(failed["id"])
        await api.number()
        for name in FOLDS:
            await api.fold(name)
        await requested(http)
        samples = await told(http)
    head = int(await api.sql("SELECT max(position) FROM postcommit.ledger"))
    assert of(samples, "postgres_up") == 1 and of(samples, "log_position") == head
    assert of(samples, "outbox_depth") == 1 and 0 < of(samples, "outbox_oldest_seconds") < 60
    assert of(samples, "cursor_position", cursor="audit") == head
    assert of(samples, "cursor_behind", cursor="mirror") == head
    assert of(samples, "cursor_behind", cursor="audit") == of(samples, "cursor_behind_seconds", cursor="audit") == 0
    assert of(samples, "cursor_behind_seconds", cursor="mirror") > 0
    statuses = {name: of(samples, "tasks", status=name) for name in ("waiting", "scheduled", "queued", "in_progress")}
    assert statuses == {"waiting": 0, "scheduled": 1, "queued": 3, "in_progress": 1}
    assert (
        of(samples, "queue_oldest_seconds", queue="default") > 0 == of(samples, "queue_oldest_seconds", queue="email")
    )
    assert of(samples, "tasks_total", kind="probe", outcome="accepted") == 5
    assert of(samples, "tasks_total", kind="probe", outcome="complete") == 1
    balance = {state: of(samples, "balance", state=state) for state in ("accepted", "complete", "failed", "open")}
    assert balance == {"accepted": 6, "complete": 1, "failed": 0, "open": 5}
    assert of(samples, "balance_difference") == 0


async def test_no_caller_makes_a_series(api: Api) -> None:
    transport = httpx.ASGITransport(app=api.app, raise_app_exceptions=False)  # type: ignore[arg-type]
    secret = {"Authorization": "Bearer secret-of-operator"}
    async with httpx.AsyncClient(transport=transport, base_url="http://api", headers=secret) as http:
        paths = ["/v1/tasks/{}", "/v1/items/{}", "/nowhere/{}", "/v1/mail/{}", "/schemas/{}/1", "/v1/analytics?kind={}"]

        async def asked(round: int) -> set[tuple[str, Labels]]:
            for number in range(20):
                for path in paths:
                    await http.request("GET", path.format(f"{round}-{number}"))
                await http.request(f"MADE{round}{number}", "/v1/tasks")
                await http.post("/v1/tasks", json={"kind": f"made-{round}-{number}", "request": {}})
            return set(await told(http))

        await asked(0)
        before, after = await asked(1), await asked(2)
        samples = await told(http)
    assert before == after, "a series was added"
    assert not [labels for _, labels in after if MADE_UP.search(str(labels))]
    asked_for = {"method": "GET", "route": "/v1/tasks/{id}", "status": "404"}
    assert of(samples, "http_requests_total", **asked_for) == 60
    assert of(samples, "http_requests_total", method="GET", route="other", status="404") >= 60
    assert of(samples, "http_request_seconds_count", method="GET", route="/v1/tasks/{id}") == 60


@pytest.mark.parametrize(("holder", "status"), [(None, 401), ("client", 403), ("worker", 403), ("auditor", 200)])
async def test_who_may_read_the_log_may_read_them(api: Api, holder: str | None, status: int) -> None:
    async with api.by(holder) as http:
        assert (await http.get("/metrics")).status_code == status


async def test_a_role_tells_of_itself_on_its_port() -> None:
    settings = Settings(metrics_port=free_port())
    now = datetime.now(UTC)
    with metrics.served(settings):
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.metrics_port}") as http:
            before = await told(http)
            metrics.begun(Task(due_at=now - timedelta(seconds=7)), now)
            metrics.ended("probe", Done(result=None), 0.2)
            after = await told(http)
        with pytest.raises(Refused, match="Address already in use"), metrics.served(settings):
            raise AssertionError("Two processes cannot have one port.")
    grown = {at: after[at] - before.get(at, 0.0) for at in after if at[0].startswith("postcommit_")}
    assert of(grown, "attempts_total", kind="probe", outcome="done") == 1
    assert (of(grown, "leg_seconds_count", leg="claim"), of(grown, "leg_seconds_sum", leg="claim")) == (1, 7)
    assert (
        of(grown, "leg_seconds_bucket", leg="claim", le="5.0")
        == 0
        < of(grown, "leg_seconds_bucket", leg="claim", le="10.0")
    )
    assert of(grown, "leg_seconds_sum", leg="run") == pytest.approx(0.2)


async def test_a_balance_that_would_be_long_to_count_is_left_out_alone(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with api.operator as http:
        before = await told(http)
        monkeypatch.setattr(served_metrics, "FRESH_S", 0.0)
        behind = of(before, "outbox_depth") + of(before, "cursor_behind", cursor="balance")
        monkeypatch.setattr(served_metrics, "MOST_UNFOLDED", behind)
        assert of(await told(http), "balance_difference") == 0
        await requested(http)
        samples = await told(http)
    assert of(samples, "postgres_up") == 1 and of(samples, "outbox_depth") == of(before, "outbox_depth") + 1
    assert not {name for name, _ in samples} & {"postcommit_balance", "postcommit_balance_difference"}


async def test_a_balance_that_does_not_answer_takes_nothing_with_it(
    api: Api, dsn: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_metrics, "FRESH_S", 0.0)
    monkeypatch.setattr(served_metrics, "PATIENCE_S", 0.5)
    owner = await asyncpg.connect(dsn("postcommit_owner"))
    try:
        async with api.operator as http:
            async with owner.transaction():
                await owner.execute("LOCK TABLE postcommit.balance IN ACCESS EXCLUSIVE MODE")
                samples = await told(http)
            after = await told(http)
    finally:
        await owner.close()
    assert of(samples, "postgres_up") == 1 and ("postcommit_log_position", frozenset()) in samples
    assert ("postcommit_balance_difference", frozenset()) not in samples
    assert of(after, "balance_difference") == 0


def test_each_leg_of_the_mirror_has_its_time() -> None:
    begin = datetime.now(UTC)
    lines = [Line(position, "", "", {}, b"", begin) for position in range(1_001, 1_006)]
    before = scraped(generate_latest(metrics.REGISTRY).decode())
    metrics.numbered(2, 1_003, begin + timedelta(seconds=1))  # 1,001 was another relay's
    metrics.numbered(1, 1_004, begin + timedelta(seconds=2))
    metrics.mirrored(lines[:2], begin + timedelta(seconds=4))
    metrics.mirrored(lines[2:], begin + timedelta(seconds=5))  # 1,005 was another relay's, too
    metrics.mirrored(lines, begin + timedelta(days=1))  # told again, in a stream that was made anew
    after = scraped(generate_latest(metrics.REGISTRY).decode())
    grown = {at: after[at] - before.get(at, 0.0) for at in after}
    legs = {
        leg: (of(grown, "leg_seconds_count", leg=leg), of(grown, "leg_seconds_sum", leg=leg))
        for leg in ("sequence", "publish", "mirror")
    }
    assert legs == {"sequence": (3, 1 + 1 + 2), "publish": (3, 3 + 4 + 3), "mirror": (3, 4 + 5 + 5)}
    assert of(grown, "relay_numbered_total") == 3 and of(grown, "relay_mirrored_total") == 10
