"""Who may do what: every key of the REST API has one scope, and every scope its rights."""

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    CLIENT = "client"  # sees what it asked for itself, and nothing else
    WORKER = "worker"
    AUDITOR = "auditor"  # reads everything, writes nothing
    OPERATOR = "operator"


class Right(StrEnum):
    WRITE = "write"  # accounts, tasks, their cancelling and retrying
    READ_TASKS = "read tasks"
    READ_ACCOUNTS = "read accounts"
    READ_LOG = "read the log"  # and what readers make of it: audit, analytics, balance
    READ_MAIL = "read mail"
    REBUILD = "rebuild the search"


RIGHTS: dict[Scope, frozenset[Right]] = {
    Scope.CLIENT: frozenset({Right.WRITE, Right.READ_TASKS, Right.READ_ACCOUNTS}),
    Scope.WORKER: frozenset({Right.READ_TASKS}),
    Scope.AUDITOR: frozenset(Right) - {Right.WRITE, Right.REBUILD},
    Scope.OPERATOR: frozenset(Right),
}


@dataclass(frozen=True, slots=True)
class Key:
    """The holder of a key. The secret itself is known to nobody but the holder."""

    name: str  # stands as `by` in tasks and as `actor` in events
    scope: Scope

    def may(self, right: Right) -> bool:
        return right in RIGHTS[self.scope]

    def sees(self, owner: str) -> bool:
        """Whether this key may know of what `owner` asked for."""
        return self.scope is not Scope.CLIENT or owner == self.name
