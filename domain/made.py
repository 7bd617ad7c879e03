"""What was made of files: the results of tasks that name their source, their operation and their files. A fold."""

from collections.abc import Iterable
from typing import Any

from domain import task
from domain.file import is_sha256
from domain.log import Recorded

MOST_OPERATION = 500  # characters


def results(recorded: Iterable[Recorded]) -> dict[tuple[str, str], dict[str, Any]]:
    """The results by source and operation; the last one counts."""
    found = {}
    for fact in (one.fact for one in recorded):
        if isinstance(fact.event, task.Completed) and _names_what_it_made(result := fact.event.result):
            found[result["source"], result["operation"]] = result
    return found


def _names_what_it_made(result: Any) -> bool:
    if not isinstance(result, dict) or not isinstance(result.get("files"), list):
        return False
    operation = result.get("operation")
    return is_sha256(result.get("source")) and isinstance(operation, str) and len(operation) <= MOST_OPERATION
