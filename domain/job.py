"""What a worker's function is handed besides its request."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from domain.kind import AnyKind
from domain.log import Meta
from domain.outcome import Outcome

NOBODY = Meta(actor="worker")


class Report(Protocol):
    def __call__(self, done: float, total: float, unit: str = "", note: str = "") -> None:
        """Tell how far the work is. Cheap: call it as often as you like. Never blocks, never fails."""


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt. `id` is the task's, the same for every attempt: use it to make effects recognisable."""

    id: UUID
    attempt: int  # 1, 2, …
    report: Report
    meta: Meta = NOBODY  # for what the work itself writes to the log


Work = Callable[[Any, Job], Awaitable[Outcome]]
"""Does one kind of work: takes the kind's request record and the job, answers how it ended.

An exception counts as Stumbled; asyncio.CancelledError means that the attempt must stop: clean up and let it pass."""


@dataclass(frozen=True, slots=True)
class Worker:
    kind: AnyKind
    work: Work
