"""Changes of tasks that exist, as the arguments of settle_tasks.sql."""

from collections.abc import Sequence
from typing import Any

from adapters.postgres import codec
from domain import catalogue
from domain.holding import Change
from domain.log import Fact


def columns(changes: Sequence[Change], actor: str = "") -> list[Any]:
    """The arguments of settle_tasks.sql. `actor` causes the facts that do not keep their own meta."""
    rows = [_row(change) for change in changes]
    facts = [_fact(change, fact) for change in changes for fact in change.facts]
    return [*codec.transposed(rows, 15), *codec.transposed(facts, 8), actor]


def _row(change: Change) -> tuple[Any, ...]:
    task = change.after
    return (
        change.id,
        change.version,
        change.turn,
        change.uncancelled,
        change.expired,
        task.status,
        task.due_at,
        task.finished_at,
        codec.optional(task.result),
        codec.optional(task.error),
        codec.optional(task.progress),
        task.stumbles,
        task.lost,
        task.retried_as,
        codec.optional(task.cancel_requested),
    )


def _fact(change: Change, fact: Fact) -> tuple[Any, ...]:
    name, data, _ = catalogue.dump(fact.event)
    meta = codec.meta(fact.meta) if change.keep_meta else None
    return (change.id, fact.id, name, catalogue.version_of(name), fact.at, data.decode(), fact.subject, meta)
