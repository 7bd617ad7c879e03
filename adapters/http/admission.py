"""Whether bytes may come in: how large, how many requests with them at once, and how many of one key within a day."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import takewhile
from uuid import UUID

from adapters.http.desk import Call, desk
from adapters.http.origin import header
from adapters.http.problems import DETAILS, Problem
from adapters.http.service import Coming, Intake

DAY = timedelta(days=1)
TO_CLOSE = {"Connection": "close"}  # what the sender still has to say is not read


@asynccontextmanager
async def admitted(request: Call) -> AsyncIterator[int]:
    """How many bytes the body has, of which no fact tells before they are there: they count until the block ends, in
    which the fact is written. Raises Problem."""
    length = header(request.scope, b"content-length")
    if length is None or not length.isdecimal():
        raise Problem("length-required", DETAILS["length-required"], headers=TO_CLOSE)
    require_fitting(request, int(length))
    async with place(request, int(length)) as coming:
        await require_quota(request, int(length), coming=coming)
        yield int(length)


@asynccontextmanager
async def place(request: Call, unannounced: int = 0) -> AsyncIterator[UUID]:
    """One of those that bring bytes at once; so many of them no fact has announced. Raises Problem where there are too
    many requests."""
    store, one = intake(request), desk(request).service.new_id()
    if len(store.under_way) >= store.most_at_once:
        raise Problem("overloaded", "Too many uploads are under way here. Try again in a moment.", headers=TO_CLOSE)
    store.under_way[one] = Coming(request.user.name, unannounced)
    try:
        yield one
    finally:
        del store.under_way[one]


def require_fitting(request: Call, size_bytes: int) -> None:
    """Raises Problem where it is longer than any upload may be."""
    most = intake(request).most_bytes
    if size_bytes > most:
        detail = f"An upload has at most {most} bytes; this has {size_bytes}."
        raise Problem("too-large", detail, headers=TO_CLOSE | {"Tus-Max-Size": str(most)})


async def require_quota(request: Call, size_bytes: int, id: UUID | None = None, coming: UUID | None = None) -> None:
    """Raises Problem where the key announces more within a day than it may. An upload that exists is asked about once
    more, when its first bytes come: others may have been announced in the same moment. Of the requests under way those
    before `coming` count."""
    service, store, name = desk(request).service, intake(request), request.user.name
    earlier = takewhile(lambda each: each[0] != coming, store.under_way.items())
    # These first: whoever ends while the database is asked has been announced by then.
    under_way = sum(one.size_bytes for _, one in earlier if one.holder == name)
    before = under_way + await service.queries.announced(name, service.now() - DAY, id)
    if before + size_bytes > store.most_bytes_a_day:
        detail = (
            f"A key may announce {store.most_bytes_a_day} bytes within 24 hours; {before} are announced, "
            f"and this has {size_bytes}."
        )
        raise Problem("over-quota", detail, headers=TO_CLOSE)


def intake(request: Call) -> Intake:
    found = desk(request).service.intake
    assert found is not None, "Without a store there are no such routes."
    return found
