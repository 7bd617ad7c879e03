"""Lists of the REST API, page by page."""

from collections.abc import Iterator
from typing import Any

from infra.commands.api import Api, Query

LARGEST_PAGE = 1_000


def pages(api: Api, path: str, query: Query, most: float) -> Iterator[dict[str, Any]]:
    """The pages with the first `most` items, which may be infinite."""
    fixed, after = [pair for pair in query if pair[0] != "after"], dict(query).get("after")
    while True:
        size = int(min(most, LARGEST_PAGE))
        page: dict[str, Any] = api.get(path, [*fixed, ("limit", size), ("after", after)]).json()
        yield page
        most -= len(page["items"])
        if page["next"] is None or most <= 0:
            return
        after = page["next"]
