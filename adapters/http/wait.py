"""How long a caller will wait: `?wait=20` or `Prefer: wait=20` (RFC 7240)."""

import re
from collections.abc import Callable, Mapping

from adapters.http.desk import Call, desk, find_task
from adapters.http.origin import header
from domain.task import ENDED
from domain.views import Glance, Seen

LONGEST_S = 60
PREFER = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,9})\"?(?=$|[,;\s])", re.IGNORECASE)


def preferred(call: Call) -> int | None:
    """The seconds that Prefer asks for, at most 60."""
    found = PREFER.search(header(call.scope, b"prefer") or "")
    return min(int(found.group(1)), LONGEST_S) if found else None


def applied(seconds: int | None) -> Mapping[str, str]:
    """Says that Prefer was heeded."""
    return {"Preference-Applied": f"wait={seconds}"} if seconds is not None else {}


async def until(call: Call, seen: Seen, good: Callable[[Glance], bool], seconds: int) -> Seen:
    """The task once it is good, or as it is when the time is over."""
    if seconds == 0 or good(glance(seen)):
        return seen
    await desk(call).tasks.until(seen.id, good, seconds)
    return await find_task(call, seen.id)


def ended(glance: Glance) -> bool:
    return glance.status in ENDED


def glance(seen: Seen) -> Glance:
    return Glance(status=seen.task.status, version=seen.task.version, progress=seen.task.progress)
