"""The balance: accepted = complete + failed + cancelled + open, at any moment. A fold of the log."""

from collections import Counter
from collections.abc import Iterable
from typing import assert_never

from domain import task
from domain.log import Event, Recorded

NAMES = ("accepted", "complete", "failed", "cancelled")


def counts(recorded: Iterable[Recorded]) -> Counter[str]:
    """What the facts add to each count."""
    total: Counter[str] = Counter()
    for one in recorded:
        total.update(_of(one.fact.event))
    return total


def _of(event: Event) -> list[str]:
    if not isinstance(event, task.Event):
        return []
    match event:
        case task.Queued(asked=task.Asked()) | task.Scheduled(asked=task.Asked()) | task.Waiting():
            return ["accepted"]
        case task.Completed():
            return ["complete"]
        case task.Failed():
            return ["failed"]
        case task.Cancelled():
            return ["cancelled"]
        case task.Queued() | task.Scheduled() | task.Started() | task.Progressed() | task.Stumbled() | task.Rescued():
            return []
        case task.CancelRequested() | task.Retried():
            return []
        case _:
            assert_never(event)
