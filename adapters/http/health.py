"""Whether this process lives, and whether it can serve."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec
import structlog
from litestar import Request, Response

from adapters.http.described import Reply, described
from adapters.http.desk import desk
from adapters.http.methods import get
from adapters.http.shown import ok

logger = structlog.get_logger()
PATIENCE_S = 0.9
NEEDED = frozenset({"postgres", "schema"})  # without the others everything is taken and kept, and goes on later


class Alive(msgspec.Struct):
    status: Literal["ok"]


class Readiness(msgspec.Struct):
    status: Literal["ok", "degraded", "unready"]
    checks: dict[str, Literal["ok", "failed"]]


LIVE = described("see_live", "Health", {200: Reply(Alive, Alive("ok"))})
READY = described(
    "see_ready",
    "Health",
    {
        200: Reply(Readiness, Readiness("degraded", {"postgres": "ok", "nats": "failed"}), ["Cache-Control"]),
        503: Reply(Readiness, Readiness("unready", {"postgres": "failed", "nats": "ok"}), ["Cache-Control"]),
    },
)


@get("/livez", sync_to_thread=False, opt=LIVE)
def live() -> Response[bytes]:
    """This process answers. Nothing else is touched."""
    return ok({"status": "ok"})


@get("/readyz", opt=READY)
async def ready(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Postgres and its schema are needed; what is merely slower without something is degraded."""
    service = desk(request).service
    results = await asyncio.gather(*(_passes(name, check) for name, check in service.checks.items()))
    passed = dict(zip(service.checks, results, strict=True))
    failed = {name for name, good in passed.items() if not good}
    unready = service.stopping.is_set() or bool(failed & NEEDED)
    status = "unready" if unready else "degraded" if failed else "ok"
    told = {name: "ok" if good else "failed" for name, good in passed.items()}
    return ok({"status": status, "checks": told}, {"Cache-Control": "no-store"}, 503 if unready else 200)


async def _passes(name: str, check: Callable[[], Awaitable[bool]]) -> bool:
    checking = asyncio.ensure_future(check())
    await asyncio.wait({checking}, timeout=PATIENCE_S)
    if not checking.done():
        checking.cancel()  # nobody waits for its end: a connection to a frozen server takes its time
        checking.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        logger.warning("health.failed", check=name, error=f"No answer within {PATIENCE_S} s.")
        return False
    if (error := checking.exception()) is not None:
        logger.warning("health.failed", check=name, error=str(error) or type(error).__name__)
        return False
    return checking.result()
