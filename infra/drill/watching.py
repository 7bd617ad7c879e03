"""Who watches while faults strike: an auditor that reads the log as it grows, and a check of what must always hold."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import asyncpg
import httpx
from sqlalchemy.exc import SQLAlchemyError

from adapters.postgres.database import GONE, Database, Unavailable
from infra.check.run import at_any_moment
from infra.drill.service import Service

PAGE = 500
LOOK_S = 1.0
CHECK_S, SHARE = 5.0, 9  # between two checks, and at least so many times as long as the last one took
AWAY = (Unavailable, SQLAlchemyError, asyncpg.PostgresError, *GONE)


async def audit(service: Service, seen: dict[int, str]) -> None:
    """Read the log page by page as it grows, until cancelled; what is away is asked again. Fills in position -> id."""
    after = 0
    async with service.client("auditor") as client:
        while True:
            try:
                answer = await client.get("/v1/events", params={"after": after, "limit": PAGE})
                items = answer.json()["items"] if answer.status_code == 200 else []
            except httpx.HTTPError:
                items = []
            for one in items:
                seen[one["position"]] = one["id"]
                after = max(after, one["position"])
            if len(items) < PAGE:
                await asyncio.sleep(LOOK_S)


@dataclass(slots=True)
class Checks:
    """How often it could be asked, and what did not hold."""

    done: int = 0
    broken: list[str] = field(default_factory=list)


async def check(service: Service, checks: Checks) -> None:
    """Ask every few seconds, until cancelled. Where Postgres is away, it is asked later."""
    while True:
        began = time.monotonic()
        try:
            checks.broken += await _broken(service)
            checks.done += 1
        except AWAY:
            pass
        await asyncio.sleep(max(CHECK_S, SHARE * (time.monotonic() - began)))


async def _broken(service: Service) -> Sequence[str]:
    database = Database(service.run["postgres"], 1, "postcommit drill", statement_s=60)
    try:
        found = [one async for one in at_any_moment(database) if one.offenders]
    finally:
        await database.close()
    at = f"{datetime.now(UTC):%H:%M:%S}"
    return [f"{at} {one.name}: {', '.join(one.offenders[:3])}" for one in found]
