"""Lists, a page at a time."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from litestar import Response
from litestar.params import QueryParameter

from adapters.http.desk import Call
from adapters.http.problems import invalid
from adapters.http.shown import ok

MOST_ITEMS = 1_000
LARGEST = 2**62  # room is left for a limit to be added
POSITION = f"a position: a whole number from 0 to {LARGEST}"
Limit = Annotated[int, QueryParameter(ge=1, description="a whole number from 1")]  # beyond MOST_ITEMS: MOST_ITEMS
Text = Annotated[  # as Postgres can compare it
    str | None,
    QueryParameter(pattern=r"^[^\x00]*$", max_length=256, description="at most 256 characters without NUL"),
]
Position = Annotated[int, QueryParameter(ge=0, le=LARGEST, description=POSITION)]
Moment = Annotated[str | None, QueryParameter(max_length=256, format="date-time", description="a time as in RFC 3339")]
Time = Annotated[datetime, msgspec.Meta(tz=True)]  # as RFC 3339 has it, with an offset
Id = Annotated[UUID | None, QueryParameter(description="a UUID")]


def limited(limit: int) -> int:
    return min(limit, MOST_ITEMS)


def page(items: Sequence[Any], next: int | str | None, request: Call, **more: Any) -> Response[bytes]:
    """One page; `next` is the cursor of the page that follows, None on the last. `more` stands beside the items."""
    body = {"items": items, "next": next} | more
    if next is None:
        return ok(body)
    query = [pair for pair in request.query_params.multi_items() if pair[0] != "after"]
    return ok(body, {"Link": f'<{request.url.path}?{urlencode([*query, ("after", next)])}>; rel="next"'})


def utc(name: str, text: str | None) -> datetime | None:
    """A time out of a parameter. Raises Problem."""
    try:
        return msgspec.convert(text, Time).astimezone(UTC) if text is not None else None
    except msgspec.ValidationError:
        detail = "Expected a time as in RFC 3339, with an offset, such as 2030-01-31T12:00:00Z"
    except OverflowError:
        detail = "This time does not exist in UTC"
    raise invalid([{"parameter": name, "detail": detail}])
