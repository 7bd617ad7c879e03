"""The balance: whatever was accepted has ended, or is open."""

from litestar import Response

from adapters.http import examples
from adapters.http.auth import needs
from adapters.http.described import Reply, described
from adapters.http.desk import Call, desk
from adapters.http.methods import get
from adapters.http.shown import ok
from domain.access import Right
from domain.views import Balance

BALANCE = described("see_balance", "Log", {200: Reply(Balance, examples.BALANCE)})


@get("/v1/balance", opt=needs(Right.READ_LOG) | BALANCE)
async def balance(request: Call) -> Response[bytes]:
    """Independent counts of one moment; their difference is 0."""
    return ok(await desk(request).service.queries.balance())
