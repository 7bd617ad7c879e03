"""Can whoever reads NATS find out by HTTP what it reads, without a key?"""

from typing import Any

import pytest

from domain import catalogue
from tests.flows.conftest import Api


async def asked(api: Api, path: str, **headers: str) -> Any:
    async with api.by(None) as http:
        return await http.get(path, headers=headers)


async def test_every_schema_that_is_listed_can_be_read(api: Api) -> None:
    listed = (await asked(api, "/schemas")).json()
    assert listed["next"] is None and {one["name"] for one in listed["items"]} == set(catalogue.TYPES)
    for one in listed["items"]:
        answer = await asked(api, one["href"])
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/schema+json")
        assert answer.json()["title"] == f"{one['name']}.v{one['version']}"
        assert one["current"] == (catalogue.version_of(one["name"]) == one["version"])
    old = [one for one in listed["items"] if not one["current"]]
    assert [(one["name"], one["version"]) for one in old] == [("task.progressed", 1)]


@pytest.mark.parametrize(
    "path",
    [
        *("order.created/2", "order.created/0", "order.created/-1", "order.created/x", "order.created/1.json"),
        *("nobody/1", "order.created/%C2%B2", "order.created/9999999999999999999999", "..%2F..%2Fschemas/1"),
    ],
)
async def test_what_was_never_published_is_not_found(api: Api, path: str) -> None:
    answer = await asked(api, f"/schemas/{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("path", ["/schemas", "/schemas/order.created/1", "/asyncapi.json"])
async def test_what_the_caller_has_is_not_told_again(api: Api, path: str) -> None:
    first = await asked(api, path)
    assert first.headers["cache-control"] == "public, max-age=3600"
    again = await asked(api, path, **{"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert (await asked(api, path, **{"If-None-Match": '"another"'})).content == first.content


async def test_the_page_may_load_nothing(api: Api) -> None:
    answer = await asked(api, "/asyncapi")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ") and "http" not in policy and "unsafe" not in policy
    assert all(name in answer.text for name in catalogue.TYPES)
