"""Does the description of the API agree with the API: every route there, every scope as it says?"""

import asyncio
from pathlib import Path
from typing import Any

from litestar.routes import HTTPRoute

from domain.access import Scope
from tests.browser import browser, command
from tests.flows.conftest import Api
from tests.flows.test_http_refusals import NOBODY
from tests.flows.test_http_role import serving

UNUSABLE = {"Last-Event-ID": "no position", "Idempotency-Key": "two words"}  # so that nobody is answered for long
GUESSED = ["", "Bearer guessed", "Basic eDp5", "Bearer"]


async def document(api: Api) -> dict[str, Any]:
    async with api.by(None) as http:
        answer = await http.get("/openapi.json")
        assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
        return dict(answer.json())


async def test_every_route_and_method_of_the_program_is_described_and_none_else(api: Api) -> None:
    told = {(path, method.upper()) for path, item in (await document(api))["paths"].items() for method in item}
    routes = [route for route in api.app.routes if isinstance(route, HTTPRoute)]
    assert told == {(route.path_format, method) for route in routes for method in route.methods}
    assert len(told) > 30


async def test_every_cell_of_scopes_and_operations_is_as_described(api: Api) -> None:
    """The table itself comes out of the document: who is not in an operation's `security` is refused, and only they."""
    cells, before = 0, await api.stored()
    for path, item in (await document(api))["paths"].items():
        for method, operation in item.items():
            allowed = {scope for need in operation["security"] for scope in need["key"]}
            assert allowed <= set(Scope)
            url = path.replace("{id}", NOBODY).replace("{name}", "nobody")
            for scope in Scope:
                async with api.by(scope) as http:
                    answer = await http.request(method, url, headers=UNUSABLE)
                refused = bool(allowed) and scope not in allowed
                assert (answer.status_code == 403) == refused and answer.status_code != 401, (method, path, scope)
                cells += 1
            for given in GUESSED:
                async with api.by(None) as http:
                    answer = await http.request(method, url, headers={"Authorization": given} if given else {})
                assert (answer.status_code == 401) == bool(allowed), (method, path, given)
                cells += 1
    assert cells > 30 * 8 and await api.stored() == before


async def test_the_document_is_told_again_only_where_it_has_changed(api: Api) -> None:
    async with api.by(None) as http:
        tag = (await http.get("/openapi.json")).headers["etag"]
        again = await http.get("/openapi.json", headers={"If-None-Match": tag})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert (await http.get("/openapi.json", headers={"If-None-Match": '"another"'})).status_code == 200


async def test_the_page_may_load_nothing(api: Api) -> None:
    async with api.by(None) as http:
        answer = await http.get("/docs")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        policy = answer.headers["content-security-policy"].split("; ")
        assert policy[0] == "default-src 'none'" and not any("unsafe" in part or "http" in part for part in policy)


async def test_a_browser_shows_the_page_while_every_other_host_is_blocked(dsn: Any, tmp_path: Path) -> None:
    program = browser("show the page")
    async with serving(dsn("postcommit")) as (_, http):
        argv = command(program, tmp_path, f"{http.base_url}/docs", "--dump-dom")
        browsing = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
        shown, _ = await asyncio.wait_for(browsing.communicate(), 60)
        assert b'id="create_task"' in shown
