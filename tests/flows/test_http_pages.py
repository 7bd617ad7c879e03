"""Does a page stay small where what it lists is large, and is nothing left out?"""

from typing import Any

import pytest

from tests.flows.conftest import Api
from tests.flows.test_http_tasks import requested

LARGE = "x" * 500_000
MOST = 9 * 1024 * 1024


async def walk(http: Any, path: str) -> tuple[list[Any], list[int]]:
    """Everything that the pages hold, and the bytes of each."""
    items, sizes, link = list[Any](), list[int](), path
    while link:
        answer = await http.get(link)
        items += answer.json()["items"]
        sizes.append(len(answer.content))
        link = answer.links.get("next", {}).get("url")
    return items, sizes


@pytest.mark.parametrize("path", ["/v1/tasks?limit=1000", "/v1/events?limit=1000"])
async def test_pages_are_bounded_by_their_bytes(api: Api, path: str) -> None:
    async with api.operator as http:
        asked = {(await requested(http, payload=LARGE))["id"] for _ in range(40)}
        await api.number()
        items, sizes = await walk(http, path)
        listed = [item["id"] if "request" in item else item["stream"].removeprefix("task-") for item in items]
        assert set(listed) >= asked and len(listed) == len(set(listed))
        assert max(sizes) < MOST and len(sizes) >= 3


async def test_a_list_takes_the_ends_of_time(api: Api) -> None:
    """Also where the clocks of several machines are allowed for, beside it."""
    async with api.operator as http:
        asked = (await requested(http))["id"]
        paths = (await http.get("/openapi.json")).json()["paths"]
        spans = [path for path, found in paths.items() if names(found.get("get", {})) >= {"since", "until", "limit"}]
        assert {"/v1/tasks", "/v1/audit"} <= set(spans)
        for path in spans:
            answer = await http.get(f"{path}?since=0001-01-01T00:00:00Z&until=9999-12-31T23:59:59.999999Z&limit=1")
            assert answer.status_code == 200, path
            if path == "/v1/tasks":
                assert [item["id"] for item in answer.json()["items"]] == [asked]


def names(operation: dict[str, Any]) -> set[str]:
    return {parameter["name"] for parameter in operation.get("parameters", ())}
