"""Does signing up make an account, and the task that welcomes it? Can the mail be read?"""

from collections.abc import Callable
from dataclasses import replace
from email.message import EmailMessage
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from infra.embedded.mail import store
from tests.flows.conftest import Api, running
from tests.flows.test_http_tasks import PROBE, assert_problem

ANN = {"email": "ann@example.com", "name": "Ann"}


async def test_an_account_and_its_welcome_are_written_together(api: Api) -> None:
    async with api.by("client") as http:
        answer = await http.post("/v1/accounts", json=ANN)
        made = answer.json()
        assert (answer.status_code, answer.headers["location"]) == (201, f"/v1/accounts/{made['id']}")
        assert (len(made["tasks"]), len(made["events"])) == (1, 2)
        assert api.rung[-1] == {"email": [UUID(made["tasks"][0])]}
        welcome = (await http.get(f"/v1/tasks/{made['tasks'][0]}")).json()
        assert (welcome["kind"], welcome["by"]) == ("email_welcome", "client")
        assert welcome["request"] == {"account": made["id"]}

        told = await http.get(answer.headers["location"])
        assert told.headers["etag"] == '"1"'
        assert told.json() == {name: made[name] for name in ("id", "email", "name", "created_at", "links")}
        assert told.json()["email"] == "ann@example.com"
        known = await http.get(answer.headers["location"], headers={"If-None-Match": '"1"'})
        assert (known.status_code, known.content) == (304, b"")
    async with api.by("other") as other, api.operator as operator:
        assert_problem(await other.get(f"/v1/accounts/{made['id']}"), 404, "not-found")
        assert (await operator.get(f"/v1/accounts/{made['id']}")).status_code == 200


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/email", "/name"]),
        ({"email": "x", "name": ""}, ["/email", "/name"]),
        (ANN | {"age": 5}, ["/age"]),
        (ANN | {"name": "Ann\r\nBcc: eve@example.com"}, ["/name"]),
        ({"email": "ann@example.com\n", "name": "Ann\n"}, ["/email", "/name"]),
        (ANN | {"name": "Ann\u2028"}, ["/name"]),
        (ANN | {"name": "  \u00a0"}, ["/name"]),
        (ANN | {"name": "=?utf-8?q?a=0Ab?="}, ["/name"]),
        *((ANN | {"email": email}, ["/email"]) for email in ("ü@example.com", "<a@b.com>", "a..b@e.com", "a@-e.com")),
        ([], [""]),
    ],
)
async def test_an_account_that_cannot_be_is_refused(api: Api, body: Any, pointers: list[str]) -> None:
    before = await api.stored()
    async with api.operator as http:
        answer = await http.post("/v1/accounts", json=body)
        assert_problem(answer, 422, "invalid")
        assert [error["pointer"] for error in answer.json()["errors"]] == pointers
        assert "\\" not in answer.json()["detail"]
    assert await api.stored() == before


@pytest.mark.parametrize(
    ("trusted", "forwarded", "address"),
    [
        ([], "6.6.6.6", "127.0.0.1"),
        (["127.0.0.1"], "6.6.6.6, 7.7.7.7", "7.7.7.7"),
        (["127.0.0.1", "10.0.0.0/8"], "6.6.6.6, 7.7.7.7, 10.1.2.3", "7.7.7.7"),
        (["127.0.0.1"], "6.6.6.6, nonsense", "127.0.0.1"),
        (["10.0.0.0/8"], "6.6.6.6", "127.0.0.1"),
    ],
)
async def test_only_trusted_proxies_say_where_a_request_comes_from(
    dsn: Callable[[str], str], trusted: list[str], forwarded: str, address: str
) -> None:
    networks = tuple(ip_network(proxy) for proxy in trusted)
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    headers = {"X-Forwarded-For": forwarded, "traceparent": trace}
    async with running(dsn("postcommit"), lambda service: replace(service, trusted=networks)) as api:
        async with api.by("operator", **headers) as http:
            task = (await http.post("/v1/tasks", json=PROBE)).json()
        query = "SELECT meta ->> $2 FROM postcommit.events WHERE id = $1"
        assert await api.sql(query, UUID(task["events"][0]), "address") == address
        assert await api.sql(query, UUID(task["events"][0]), "traceparent") == trace


async def test_mails_can_be_read_where_a_mail_sink_keeps_them(dsn: Callable[[str], str], tmp_path: Path) -> None:
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = "us@example.com", "ann@example.com", "Grüße"
    letter["Message-ID"] = "<1@example.com>"
    letter.set_content("Hello")
    letter.add_alternative("<p>Hello</p>", subtype="html")
    names = [store(tmp_path, "us@example.com", ["ann@example.com"], letter.as_bytes()).stem for _ in range(2)]
    (tmp_path / "secret.eml").write_text("nothing of ours")
    async with running(dsn("postcommit"), lambda service: replace(service, mail=tmp_path)) as api:
        async with api.by("client") as http:
            assert_problem(await http.get("/v1/mail"), 403, "forbidden")
        async with api.by("operator") as http:
            first = (await http.get("/v1/mail?limit=1")).json()
            assert [mail["name"] for mail in first["items"]] == names[1:]
            second = (await http.get(f"/v1/mail?limit=1&after={first['next']}")).json()
            assert [mail["name"] for mail in second["items"]] == names[:1]
            mail = (await http.get(f"/v1/mail/{names[0]}")).json()
            assert (mail["from"], mail["to"], mail["subject"]) == ("us@example.com", "ann@example.com", "Grüße")
            assert (mail["message_id"], mail["text"], mail["html"]) == ("<1@example.com>", "Hello\n", "<p>Hello</p>\n")
            assert mail["received_at"].endswith("Z")
            for name in ("secret", "..%2f..%2fsecret", "nothing"):
                assert_problem(await http.get(f"/v1/mail/{name}"), 404, "not-found")
