"""The balance: whatever was accepted has ended, or is open."""

from litestar import Response

from adapters.http.auth import needs
from adapters.http.desk import Call, desk
from adapters.http.methods import get
from adapters.http.shown import ok
from domain.access import Right


@get("/v1/balance", opt=needs(Right.READ_LOG))
async def balance(request: Call) -> Response[bytes]:
    """Independent counts of one moment; their difference is 0."""
    return ok(await desk(request).service.queries.balance())
