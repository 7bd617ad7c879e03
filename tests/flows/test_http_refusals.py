"""Is everything that is wrong told as a problem, and nothing of it stored?"""

import json
from typing import Any

import pytest
from httpx import AsyncClient

from tests.flows.conftest import Api
from tests.flows.test_http_tasks import PROBE, assert_problem

JSON = {"Content-Type": "application/json"}
KIB = 1024
NOBODY = "01890000-0000-7000-8000-000000000000"

WRONG: list[tuple[str, Any, list[str]]] = [  # what is wrong, the body, the pointers of its errors
    ("unknown kind", {"kind": "no", "request": {}}, ["/kind"]),
    ("missing fields", {}, ["/kind", "/request"]),
    ("unknown field", PROBE | {"extra": 1}, ["/extra"]),
    ("unknown field of the request", {"kind": "probe", "request": {"a/b~c": 1}}, ["/request/a~1b~0c"]),
    ("missing field of the request", {"kind": "email_welcome", "request": {}}, ["/request/account"]),
    ("wrong id", {"kind": "email_welcome", "request": {"account": "x"}}, ["/request/account"]),
    ("wrong type", {"kind": "probe", "request": {"work_s": "x"}}, ["/request/work_s"]),
    ("out of range", {"kind": "probe", "request": {"work_s": -1}}, ["/request/work_s"]),
    (
        "many at once",
        {"kind": "probe", "request": {"work_s": "x", "fail_first": -1, "no": 0}, "due_at": 5},
        ["/due_at", "/request/no", "/request/work_s", "/request/fail_first"],
    ),
    ("kind is no text", {"kind": 5, "request": {}}, ["/kind"]),
    ("request is no object", {"kind": "probe", "request": []}, ["/request"]),
    ("time without zone", PROBE | {"due_at": "2030-01-01T00:00:00"}, ["/due_at"]),
    ("no time", PROBE | {"due_at": "tomorrow"}, ["/due_at"]),
    ("infinity", PROBE | {"due_at": "9999-12-31T23:59:59.999999Z"}, ["/due_at"]),
    ("no time at all", PROBE | {"due_at": "0001-01-01T00:00:00Z"}, ["/due_at"]),
    ("time without UTC", PROBE | {"due_at": "9999-12-31T23:59:59-12:00"}, ["/due_at"]),
    ("a list", [], [""]),
    ("null", None, [""]),
    ("a text", "x", [""]),
]


@pytest.mark.parametrize(("body", "pointers"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
async def test_every_wrong_item_is_named_by_its_pointer(api: Api, body: Any, pointers: list[str]) -> None:
    before = await api.stored()
    async with api.by("operator", **{"Idempotency-Key": "wrong"}) as http:
        answer = await http.post("/v1/tasks", content=json.dumps(body), headers=JSON)
        assert_problem(answer, 422, "invalid")
        assert [error["pointer"] for error in answer.json()["errors"]] == pointers
        assert all(error["detail"] for error in answer.json()["errors"])
    assert await api.stored() == before


async def test_a_batch_with_wrong_items_is_refused_whole(api: Api) -> None:
    before = await api.stored()
    async with api.operator as http:
        items = [PROBE, {"kind": "no", "request": {}}, PROBE, {"kind": "probe", "request": {"work_s": "x"}}]
        answer = await http.post("/v1/tasks/batch", json=items)
        assert_problem(answer, 422, "invalid")
        assert [error["pointer"] for error in answer.json()["errors"]] == ["/1/kind", "/3/request/work_s"]
        wrong: list[Any] = [[], {}, [PROBE] * 1_001, "x"]
        for body in wrong:
            assert_problem(await http.post("/v1/tasks/batch", json=body), 422, "invalid")
    assert await api.stored() == before


BODIES: list[tuple[str, bytes, dict[str, str], int, str]] = [
    ("malformed", b'{"kind": ', JSON, 400, "malformed-json"),
    ("empty", b"", JSON, 400, "malformed-json"),
    ("trailing", b"{} {}", JSON, 400, "malformed-json"),
    ("NaN", b'{"kind": NaN}', JSON, 400, "malformed-json"),
    ("not UTF-8", b'{"kind": "\xff"}', JSON, 400, "malformed-json"),
    ("a byte order mark", b"\xef\xbb\xbf" + json.dumps(PROBE).encode(), JSON, 400, "malformed-json"),
    ("UTF-16", json.dumps(PROBE).encode("utf-16"), JSON, 400, "malformed-json"),
    ("UTF-16 without a mark", json.dumps(PROBE).encode("utf-16-le"), JSON, 400, "malformed-json"),
    ("compressed", json.dumps(PROBE).encode(), JSON | {"Content-Encoding": "gzip"}, 415, "unsupported-media-type"),
    ("coded twice", b"{}", JSON | {"Content-Encoding": "identity, br"}, 415, "unsupported-media-type"),
    ("half a surrogate pair", rb'{"kind":"probe","request":{"payload":"\ud800"}}', JSON, 422, "invalid"),
    ("half a pair before text", rb'{"kind":"probe","request":{"payload":"\ud83d and on"}}', JSON, 422, "invalid"),
    ("half a pair as a name", rb'{"kind":"probe","request":{"payload":{"\udc00":1}}}', JSON, 422, "invalid"),
    ("a number without end", b'{"kind":"probe","request":{"payload":1e999}}', JSON, 422, "invalid"),
    ("too many digits", b'{"kind":"probe","request":{"payload":' + b"9" * 5_000 + b"}}", JSON, 422, "invalid"),
    ("deep", b'{"kind":"probe","request":{"payload":' + b"[" * 70 + b"]" * 70 + b"}}", JSON, 422, "invalid"),
    ("very deep", b"[" * 100_000 + b"]" * 100_000, JSON, 422, "invalid"),
    ("form", b"kind=probe", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "unsupported-media-type"),
    ("no type", b"{}", {}, 415, "unsupported-media-type"),
    ("too big", b'"' + b"x" * KIB * KIB + b'"', JSON, 413, "too-large"),
    ("a big lie", b"", JSON | {"Content-Length": "99999999"}, 413, "too-large"),
    ("big request", b'{"kind":"probe","request":{"payload":"' + b"x" * 512 * KIB + b'"}}', JSON, 413, "too-large"),
]


@pytest.mark.parametrize(
    ("body", "headers", "status", "slug"), [row[1:] for row in BODIES], ids=[row[0] for row in BODIES]
)
async def test_a_body_that_cannot_be_taken_is_refused(
    api: Api, body: bytes, headers: dict[str, str], status: int, slug: str
) -> None:
    before = await api.stored()
    async with api.operator as http:
        assert_problem(await http.post("/v1/tasks", content=body, headers=headers), status, slug)
    assert await api.stored() == before


async def test_what_is_no_utf_8_is_called_so(api: Api) -> None:
    async with api.operator as http:
        for encoding in ("utf-8-sig", "utf-16", "latin-1"):
            answer = await http.post("/v1/tasks", content='{"kind": "ü"}'.encode(encoding), headers=JSON)
            assert answer.json()["detail"].startswith("The body is not UTF-8 JSON: ")


async def test_a_body_may_say_that_it_is_not_coded(api: Api) -> None:
    async with api.operator as http:
        answer = await http.post("/v1/tasks", json=PROBE, headers={"Content-Encoding": "Identity"})
        assert answer.status_code == 202


async def test_of_two_idempotency_keys_none_is_believed(api: Api) -> None:
    before = await api.stored()
    async with api.operator as http:
        headers = [*JSON.items(), ("Idempotency-Key", "one"), ("Idempotency-Key", "one")]
        answer = await http.post("/v1/tasks", content=json.dumps(PROBE), headers=headers)
        assert_problem(answer, 400, "bad-idempotency-key")
    assert await api.stored() == before


async def test_a_body_without_a_length_is_refused_while_it_is_read(api: Api) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 64 * KIB
            yield b" " * 64 * KIB

    async with api.operator as http:
        assert_problem(await http.post("/v1/tasks", content=endless(), headers=JSON), 413, "too-large")
    assert sent < 2 * KIB * KIB


async def test_a_batch_may_be_larger_and_its_items_may_not(api: Api) -> None:
    before = await api.stored()
    async with api.operator as http:
        big = {"kind": "probe", "request": {"payload": "x" * 512 * KIB}}
        answer = await http.post("/v1/tasks/batch", json=[PROBE, big])
        assert_problem(answer, 413, "too-large")
        assert answer.json()["errors"][0]["pointer"] == "/1/request"
        assert await api.stored() == before
        fits = {"kind": "probe", "request": {"payload": "x" * 500 * KIB}}
        assert (await http.post("/v1/tasks/batch", json=[fits] * 4)).status_code == 202


@pytest.mark.parametrize(
    ("method", "path", "status", "slug"),
    [
        ("GET", "/nowhere", 404, "not-found"),
        ("GET", "/v1/tasks/" + NOBODY, 404, "not-found"),
        ("GET", "/v1/tasks/nonsense", 404, "not-found"),
        ("GET", "/v1/tasks/{" + NOBODY + "}", 404, "not-found"),
        ("GET", "/v1/tasks/%00", 404, "not-found"),
        ("GET", f"/v1/tasks/{NOBODY}/history", 404, "not-found"),
        ("GET", "/v1/accounts/" + NOBODY, 404, "not-found"),
        ("GET", "/v1/accounts/1", 404, "not-found"),
        ("POST", f"/v1/tasks/{NOBODY}/cancel", 404, "not-found"),
        ("POST", f"/v1/tasks/{NOBODY}/retry", 404, "not-found"),
        ("GET", "/v1/mail", 404, "not-found"),
        ("DELETE", "/v1/tasks", 405, "method-not-allowed"),
        ("PUT", "/v1/tasks/" + NOBODY, 405, "method-not-allowed"),
        ("HEAD", "/v1/events/stream", 405, "method-not-allowed"),
        ("GET", "/v1/tasks?status=unheard", 422, "invalid"),
        ("GET", "/v1/tasks?limit=0", 422, "invalid"),
        ("GET", "/v1/tasks?limit=x", 422, "invalid"),
        ("GET", "/v1/tasks?since=today", 422, "invalid"),
        ("GET", "/v1/tasks?since=1e10", 422, "invalid"),
        ("GET", "/v1/tasks?since=1767225600", 422, "invalid"),
        ("GET", "/v1/tasks?until=2026-01-01T00:00:00", 422, "invalid"),
        ("GET", "/v1/tasks?until=2026-01-01", 422, "invalid"),
        ("GET", "/v1/tasks?until=", 422, "invalid"),
        ("GET", "/v1/tasks?until=9999-12-31T23:59:59-12:00", 422, "invalid"),
        ("GET", "/v1/tasks?after=x", 422, "invalid"),
        ("GET", "/v1/tasks?queue=email", 422, "invalid"),
        ("GET", "/v1/tasks?queue=email&status=complete", 422, "invalid"),
        ("GET", "/v1/items?after=AAAAAAAAAAAAAAAA", 422, "invalid"),
        ("GET", "/v1/orders?after=%00", 422, "invalid"),
        ("GET", "/v1/tasks?kind=%00", 422, "invalid"),
        ("GET", "/v1/audit?actor=%00", 422, "invalid"),
        ("GET", "/v1/events?after=-1", 422, "invalid"),
        ("GET", "/v1/events?after=99999999999999999999", 422, "invalid"),
        ("GET", "/v1/audit?after_event=" + NOBODY, 422, "invalid"),
    ],
)
async def test_what_is_not_there_or_not_asked_for_rightly_is_a_problem(
    api: Api, method: str, path: str, status: int, slug: str
) -> None:
    async with api.operator as http:
        answer = await http.request(method, path)
        if method != "HEAD":
            assert_problem(answer, status, slug)
        assert answer.status_code == status
        assert ("allow" in answer.headers) == (status == 405)


DETAILS = [  # what is asked, and the words of the answer
    ("GET", "/v1/tasks?limit=x&kind=" + "k" * 9_000, "The parameter kind is wrong: Expected at most 256 characters"),
    ("GET", "/v1/tasks?limit=0", "The parameter limit is wrong: Expected a whole number from 1."),
    (
        "GET",
        "/v1/tasks?status=" + "s" * 9_000,
        "The parameter status is wrong: Expected one of waiting, scheduled, ",
    ),
    (
        "GET",
        "/v1/tasks?after=x",
        "The parameter after is wrong: Expected the `next` of an earlier page of ",
    ),
    ("GET", "/v1/tasks?kind=%00", "The parameter kind is wrong: Expected at most 256 characters without NUL."),
    ("GET", "/v1/tasks?since=1e10", "The parameter since is wrong: Expected a time as in RFC 3339, with an offset, "),
    ("GET", f"/v1/tasks/{NOBODY}?wait=-1", "The parameter wait is wrong: Expected a whole number of seconds."),
    ("GET", "/v1/events?after=-1", "The parameter after is wrong: Expected a position: a whole number from 0 to "),
    ("GET", "/v1/audit?after_event=" + NOBODY, "The parameter after_event is wrong: There is no such event."),
    (
        "GET",
        "/v1/tasks?stauts=failed",
        "The parameter stauts is wrong: It is unknown here; known are after, by, ",
    ),
    ("GET", f"/v1/tasks/{NOBODY}/history?limit=1", "The parameter limit is wrong: It is unknown here; there are none."),
    ("GET", "/v1/tasks?limit=1&limit=2", "The parameter limit is wrong: Expected it once."),
    ("GET", "/v1/tasks?after=null", "The parameter after is wrong: Expected the `next` of an earlier page"),
    ("GET", "/v1/audit?after_event=null", "The parameter after_event is wrong: Expected a UUID."),
    ("GET", "/v1/audit?after_event=NULL", "The parameter after_event is wrong: Expected a UUID."),
    ("GET", "/v1/events/stream?after=null", "The parameter after is wrong: Expected a position: a whole number from "),
    ("POST", "/v1/accounts?dry_run=1", "The parameter dry_run is wrong: It is unknown here; there are none."),
    ("POST", "/v1/accounts", "The field /email is wrong: Expected an e-mail address in ASCII, such as ann@exam"),
    ("POST", "/v1/tasks", "The field /name is wrong: There is no field 'name' here. There are 4 errors."),
    ("POST", "/v1/tasks/batch", "The body is wrong: Expected a list of 1 to 1000 tasks."),
]


@pytest.mark.parametrize(("method", "path", "detail"), DETAILS)
async def test_what_is_wrong_is_named_and_what_is_expected(api: Api, method: str, path: str, detail: str) -> None:
    async with api.operator as http:
        answer = await http.request(method, path, json={"name": "x", "email": "x"} if method == "POST" else None)
        assert_problem(answer, 422, "invalid")
        assert answer.json()["detail"].startswith(detail)
        assert len(answer.content) < 1_000


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/livez", "GET, HEAD, OPTIONS"),
        ("/v1/tasks", "GET, HEAD, OPTIONS, POST"),
        ("/v1/tasks/batch", "OPTIONS, POST"),
        ("/v1/tasks/" + NOBODY, "GET, HEAD, OPTIONS"),
        (f"/v1/tasks/{NOBODY}/cancel", "OPTIONS, POST"),
        ("/v1/events/stream", "GET, OPTIONS"),
    ],
)
async def test_whatever_is_allowed_is_told(api: Api, path: str, allowed: str) -> None:
    async with api.operator as http:
        told = await http.options(path)
        assert (told.status_code, told.headers["allow"], told.content) == (204, allowed, b"")
        refused = await http.delete(path)
        assert_problem(refused, 405, "method-not-allowed")
        assert ", ".join(sorted(refused.headers["allow"].split(", "))) == allowed


async def test_a_list_may_be_given_often_and_null_may_be_a_text(
    api: Api,
) -> None:
    async with api.operator as http:
        for query in ("status=failed&status=complete", "kind=null", "by=NULL"):
            assert (await http.get(f"/v1/tasks?{query}")).status_code == 200


async def test_head_is_answered_as_get_is(api: Api) -> None:
    async with api.operator as http:
        task = (await http.post("/v1/tasks", json=PROBE)).json()["links"]
        paths = ["/livez", "/readyz", "/v1/tasks?limit=1", task["self"], task["history"], "/v1/events?limit=1"]
        for path in [*paths, "/v1/audit", "/v1/balance", "/v1/tasks/" + NOBODY, "/nowhere"]:
            read, head = await http.get(path), await http.head(path)
            assert (head.status_code, head.content) == (read.status_code, b""), path
            assert dict(head.headers) | {"x-request-id": ""} == dict(read.headers) | {"x-request-id": ""}, path


ROUTES = [
    ("POST", "/v1/accounts", "client operator"),
    ("GET", f"/v1/accounts/{NOBODY}", "client auditor operator"),
    ("POST", "/v1/tasks", "client operator"),
    ("POST", "/v1/tasks/batch", "client operator"),
    ("GET", "/v1/tasks", "client worker auditor operator"),
    ("GET", f"/v1/tasks/{NOBODY}", "client worker auditor operator"),
    ("GET", f"/v1/tasks/{NOBODY}/history", "client worker auditor operator"),
    ("POST", f"/v1/tasks/{NOBODY}/cancel", "client operator"),
    ("POST", f"/v1/tasks/{NOBODY}/retry", "client operator"),
    ("GET", "/v1/events", "auditor operator"),
    ("GET", "/v1/audit", "auditor operator"),
    ("GET", "/v1/balance", "auditor operator"),
]


@pytest.mark.parametrize(("method", "path", "allowed"), ROUTES)
async def test_every_route_is_open_to_its_scopes_only(api: Api, method: str, path: str, allowed: str) -> None:
    before = await api.stored()
    for holder in ("client", "worker", "auditor", "operator"):
        async with api.by(holder) as http:
            answer = await http.request(method, path)
            if holder in allowed.split():
                assert answer.status_code in (200, 404, 415), answer.text
            else:
                assert_problem(answer, 403, "forbidden")
    async with api.by(None) as http:
        for given in (None, "Bearer guessed", "Basic eDp5", "Bearer"):
            answer = await http.request(method, path, headers={"Authorization": given} if given else {})
            assert_problem(answer, 401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"
    assert await api.stored() == before


async def test_a_client_sees_and_changes_its_own_tasks_only(api: Api) -> None:
    async with api.by("client") as mine, api.by("other") as theirs, api.by("auditor") as auditor:
        task = (await mine.post("/v1/tasks", json=PROBE)).json()
        url = task["links"]["self"]
        for answer in (
            await theirs.get(url),
            await theirs.get(url + "/history"),
            await theirs.post(url + "/cancel"),
            await theirs.post(url + "/retry"),
        ):
            assert_problem(answer, 404, "not-found")
        assert task["id"] not in (await theirs.get("/v1/tasks?by=client")).text
        assert (await mine.get(url)).status_code == (await auditor.get(url)).status_code == 200


async def test_a_revoked_key_is_refused_when_it_is_no_longer_remembered(api: Api) -> None:
    await api.sql("UPDATE postcommit.keys SET revoked_at = now() WHERE name = 'other'")
    async with api.by("other") as http:
        assert_problem(await http.get("/v1/tasks"), 401, "unauthorized")


async def test_the_id_of_a_request_is_kept_where_it_is_safe(api: Api) -> None:
    async with api.operator as http:
        for given, kept in (("abc-1", True), ("x" * 129, False), ("a b", False), ("<script>", False)):
            answer = await http.get("/livez", headers={"X-Request-ID": given})
            assert (answer.headers["x-request-id"] == given) == kept


async def test_an_error_of_ours_is_told_without_its_inside(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: AsyncClient) -> None:
        raise KeyError("a secret of the inside")

    monkeypatch.setattr(type(api.service.queries), "balance", broken)
    async with api.operator as http:
        answer = await http.get("/v1/balance")
        assert_problem(answer, 500, "internal")
        assert "secret" not in answer.text
