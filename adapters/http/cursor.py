"""Cursors of lists: where the next page begins, bound to the list and its filters."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from uuid import UUID

from adapters.http.desk import Call
from adapters.http.problems import Problem, invalid

MARK = 8  # bytes that bind a cursor to its list
WHOLE = re.compile(r"[A-Za-z0-9_-]{12,400}")
NO_FILTERS = ("after", "limit")


def sealed(request: Call, last: str) -> str:
    """The cursor of the page that begins behind `last`."""
    return urlsafe_b64encode(_mark(request, last) + last.encode()).decode().rstrip("=")


def opened(request: Call, cursor: str | None) -> str | None:
    """What `sealed` was given. Raises Problem for a cursor of another list or of other filters, or a changed one.

    This keeps mistakes out, not secrets in: a cursor gives no right that its caller has not."""
    if cursor is None:
        return None
    try:
        whole = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)) if WHOLE.fullmatch(cursor) else b""
        mark, last = whole[:MARK], whole[MARK:].decode()
    except ValueError:
        raise no_cursor() from None
    if not last or mark != _mark(request, last):
        raise no_cursor()
    return last


def opened_id(request: Call, cursor: str | None) -> UUID | None:
    """The same, of a list that goes by ids."""
    last = opened(request, cursor)
    try:
        return UUID(last) if last is not None else None
    except ValueError:  # whoever knows how a mark is made can put it on anything
        raise no_cursor() from None


def _mark(request: Call, last: str) -> bytes:
    filters = sorted(pair for pair in request.query_params.multi_items() if pair[0] not in NO_FILTERS)
    return blake2b(repr((request.url.path, filters, last)).encode(), digest_size=MARK).digest()


def no_cursor() -> Problem:
    detail = "Expected the `next` of an earlier page of this list, with the same filters"
    return invalid([{"parameter": "after", "detail": detail}])
