"""Is a request one trace with all that it causes, and do the logs tell of no person?"""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from infra.embedded.home import free_port, port_is_free
from infra.roles.role import impersonal
from tests.acceptance.collector import Collector, Span, collecting
from tests.acceptance.running import QUICK, ROOT, Running, ended, up
from tests.flows.test_metrics import of, scraped
from tests.waiting import until

CALLER = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = {"traceparent": f"00-{CALLER}-00f067aa0ba902b7-01"}
AS_JSON = {"content-type": "application/json"}
NAME, EMAIL, ODD = "Zaphodina Quirk", "zaphodina.quirk@example.com", "zaphodina-quirk-at-example"
REFUSED = "zaphodina.quirk@nowhere.invalid"  # by the mail sink, which repeats the address
PEOPLE = ("zaphodina", "quirk")
ALONE = ("relay", "worker", "reader")  # each tells metrics on a port of its own


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Collector]]:
    with collecting() as collector:
        variables = {"POSTCOMMIT_OTEL": collector.url, "POSTCOMMIT_LOG_LEVEL": "debug"}
        variables["POSTCOMMIT_METRICS_PORT"] = str(free_ports(len(ALONE)))
        with up(tmp_path_factory.mktemp("traced"), environ=QUICK | variables) as service:
            yield service, collector


def free_ports(count: int) -> int:
    """The first of so many in a row."""
    while not all(map(port_is_free, range(first := free_port(), first + count))):
        pass
    return first


def one(spans: list[Span], name: str) -> Span:
    [found] = [span for span in spans if span.name == name]
    return found


async def test_a_request_and_the_attempts_that_it_causes_are_one_trace(traced: tuple[Running, Collector]) -> None:
    service, collector = traced
    body = {"kind": "probe", "request": {"fail_first": 1}}
    async with service.client() as client:
        answer = await client.post("/v1/tasks", json=body, headers=TRACEPARENT)
        [task] = await ended(client, [answer.json()["id"]])
    assert task["status"] == "complete"
    await until(lambda: len(collector.of(CALLER)) >= 3, 15)
    spans = collector.of(CALLER)
    request = one(spans, "POST /v1/tasks")
    assert request.parent == "00f067aa0ba902b7", "the caller's own span"
    assert (request.attributes["http.route"], request.attributes["http.response.status_code"]) == ("/v1/tasks", "202")
    attempts = sorted(
        (span for span in spans if span.name == "process probe"), key=lambda span: span.attributes["postcommit.attempt"]
    )
    assert [span.parent for span in attempts] == [request.id, request.id]
    assert [span.attributes["postcommit.outcome"] for span in attempts] == ["stumbled", "done"]
    assert [span.failed for span in attempts] == [True, False]
    assert {span.attributes["messaging.message.id"] for span in attempts} == {task["id"]}
    await until(lambda: any(CALLER in span.links for span in collector.spans if span.name == "send LOG"), 15)


async def test_every_role_tells_its_metrics_where_run_json_says(traced: tuple[Running, Collector]) -> None:
    service, _ = traced
    async with service.client() as client:
        asked = (await client.post("/v1/tasks", json={"kind": "probe", "request": {}})).json()["id"]
        await ended(client, [asked])
        where = service.told["metrics"]
        assert where.keys() == {"api", *ALONE} and len({url for urls in where.values() for url in urls}) == 4
        assert "\npostcommit_postgres_up 1.0\n" in (await client.get(where["api"][0])).text
    async with httpx.AsyncClient(trust_env=False) as client:
        told = {role: scraped((await client.get(where[role][0])).raise_for_status().text) for role in ALONE}
    assert of(told["relay"], "relay_leads") == 1
    assert of(told["relay"], "relay_mirrored_total") >= of(told["relay"], "leg_seconds_count", leg="mirror") > 0
    assert of(told["relay"], "relay_numbered_total") > 0
    assert of(told["worker"], "attempts_total", kind="probe", outcome="done") >= 1
    assert of(told["worker"], "leg_seconds_count", leg="claim") >= 1
    assert of(told["worker"], "worker_slots") == 16 + 2, "of the crew that works at once, and of that for media"
    assert of(told["reader"], "reader_applied_total", reader="audit") > 0


async def test_the_chain_of_an_order_is_in_the_trace_of_its_confirmation(traced: tuple[Running, Collector]) -> None:
    service, collector = traced
    async with service.client() as client:
        confirmed = await order(client)
        await ended(client, confirmed["tasks"])
    kinds = ("email_order_confirmation", "warehouse_notify", "analytics_record")

    def whole() -> bool:
        requests = [span for span in collector.spans if span.name == "POST /v1/orders/{id}/confirm"]
        return bool(requests) and {span.name for span in collector.of(requests[0].trace)} >= {
            f"process {kind}" for kind in kinds
        }

    await until(whole, 15)
    request = one(collector.spans, "POST /v1/orders/{id}/confirm")
    assert request.parent == "", "nobody told of a trace, so this one begins here"
    chain = [one(collector.of(request.trace), f"process {kind}") for kind in kinds]
    assert {span.parent for span in chain} == {request.id}


async def test_the_logs_and_spans_tell_of_no_person(traced: tuple[Running, Collector]) -> None:
    service, collector = traced
    async with service.client() as client:
        confirmed = await order(client)
        bad = await client.post("/v1/accounts", json={"email": ODD, "name": NAME})
        missing = await client.get(f"/v1/accounts/{ODD}")
        assert (bad.status_code, missing.status_code) == (422, 404)
        half = f'{{"email": "{EMAIL}",'
        assert (await client.post("/v1/accounts", content=half, headers=AS_JSON)).status_code == 400
        refused = (await client.post("/v1/accounts", json={"email": REFUSED, "name": NAME})).json()
        [letter] = await ended(client, refused["tasks"])
        assert letter["error"]["type"] == "mail_rejected" and "550: 5.1.2 <<address>>" in letter["error"]["detail"]
        broken = await order(client, notify="https://zaphodina-quirk.invalid/hook")
        _, notice, _ = broken["tasks"]
        await until(lambda: stumbled(service, notice), 15)
        await ended(client, confirmed["tasks"])
        answer = await client.post("/v1/tasks", json={"kind": "probe", "request": {"payload": [NAME, EMAIL]}})
        asked, request_id = answer.json()["id"], answer.headers["x-request-id"]
        await ended(client, [asked])
    logs = {path.stem: path.read_text(errors="replace") for path in (service.home / "logs").glob("*.log")}
    assert set(logs) >= {"api", "worker", "relay", "reader", "postgres", "nats"}
    for name, text in logs.items():
        told = [line for line in text.splitlines() if any(word in line.lower() for word in PEOPLE)]
        assert told == [], name
    spans = str(collector.spans).lower()
    assert not any(word in spans for word in PEOPLE)
    [attempt] = attempts(service, asked)
    assert attempt.keys() >= {"kind", "attempt", "turn", "outcome", "seconds", "trace_id", "timestamp", "level"}
    assert attempt["correlation_id"] == request_id, "the line of the request and that of its work are found by one id"
    [rejected] = attempts(service, letter["id"])
    assert (rejected["outcome"], rejected["error_type"], rejected["level"]) == ("refused", "mail_rejected", "info")
    requests = [json.loads(line) for line in logs["api"].splitlines() if line.startswith("{")]
    answered = [line for line in requests if line["event"] == "http.answered"]
    assert all(line["request_id"] and line["key"] == "operator" for line in answered)
    assert {(line["method"], line["route"], line["status"]) for line in answered} >= {
        ("POST", "/v1/accounts", 422),
        ("GET", "/v1/accounts/{id}", 404),
    }


def attempts(service: Running, task: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in service.log("worker").splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("task") == task and line["event"] == "worker.attempt_ended"]


def stumbled(service: Running, task: str) -> bool:
    return any(line["outcome"] == "stumbled" and line["error_type"] for line in attempts(service, task))


def test_an_exception_is_told_without_its_words() -> None:
    try:
        try:
            raise KeyError(NAME)
        except KeyError as error:
            raise ValueError(f"{EMAIL} is none") from error
    except ValueError as error:
        told = impersonal(None, "", {"exc_info": error, "error": f"It failed.\nDETAIL: ({EMAIL}, {NAME})"})
    assert told["error"] == "It failed." and told["exception"][0] == "builtins.ValueError"
    assert "builtins.KeyError" in told["exception"] and __file__ in told["exception"][1]
    assert not any(word in str(told).lower() for word in PEOPLE)


def test_without_the_setting_nothing_of_it_is_imported() -> None:
    program = "import sys, infra.cli, infra.roles.api, infra.roles.worker, infra.roles.relay, infra.roles.reader\n"
    told = f"{program}print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"opentelemetry.sdk", "opentelemetry.trace", "infra.tracing"} & set(found.stdout.split())


async def order(client: Any, **more: str) -> dict[str, Any]:
    """Confirmed, by an account of its own."""
    account = (await client.post("/v1/accounts", json={"email": EMAIL, "name": NAME})).json()
    item = (await client.post("/v1/items", json={"name": "Lamp", "price_cents": 1, "currency": "EUR"})).json()
    lines = [{"item": item["id"], "quantity": 1}]
    made = await client.post("/v1/orders", json={"account": account["id"], "lines": lines} | more)
    assert made.status_code == 201, made.text
    confirmed: dict[str, Any] = (await client.post(f"/v1/orders/{made.json()['id']}/confirm")).json()
    return confirmed
