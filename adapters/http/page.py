"""Lists, a page at a time."""

from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import urlencode

from litestar import Response
from litestar.params import QueryParameter

from adapters.http.desk import Call
from adapters.http.shown import ok

MOST_ITEMS = 1_000
LARGEST = 2**62  # room is left for a limit to be added
Limit = Annotated[int, QueryParameter(ge=1)]  # more than MOST_ITEMS means MOST_ITEMS
Text = Annotated[str | None, QueryParameter(pattern=r"^[^\x00]*$", max_length=256)]  # as Postgres can compare it
Position = Annotated[int, QueryParameter(ge=0, le=LARGEST)]


def limited(limit: int) -> int:
    return min(limit, MOST_ITEMS)


def page(items: Sequence[Any], next: int | str | None, request: Call, **more: Any) -> Response[bytes]:
    """One page; `next` is the cursor of the page that follows, None on the last. `more` stands beside the items."""
    body = {"items": items, "next": next} | more
    if next is None:
        return ok(body)
    query = [pair for pair in request.query_params.multi_items() if pair[0] != "after"]
    return ok(body, {"Link": f'<{request.url.path}?{urlencode([*query, ("after", next)])}>; rel="next"'})
