"""What passes at a crash point: a call of the program. A point may ask of it whether it is the one that is meant."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from domain.holding import Change
from domain.task import Status

ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")  # as the program makes them: UUIDv7


@dataclass(frozen=True, slots=True)
class Passing:
    """The arguments by name, and the answer where the point lies after the call."""

    given: Mapping[str, Any]
    answer: Any = None

    @property
    def ids(self) -> list[str]:
        """Whose work it is: the ids in its arguments and its answer; where there is none, in the object itself."""
        told = [value for name, value in self.given.items() if name not in ("self", "facts")]  # ids of facts to come
        text = repr((told, self.answer))
        return sorted(set(ID.findall(text)) or set(ID.findall(repr(self.given.get("self")))))


@dataclass(frozen=True, slots=True)
class Death:
    """A role died at a crash point."""

    ids: list[str]  # of the work that came by
    at: datetime


Asked = Callable[[Passing], bool]


def always(_: Passing) -> bool:
    return True


def answered(one: Passing) -> bool:
    """Its answer is neither empty nor 0."""
    return bool(one.answer)


def filled(name: str) -> Asked:
    """The argument is not empty."""
    return lambda one: bool(one.given[name])


def changes(holds: Callable[[Change], bool]) -> Asked:
    """One of the changes of tasks is like that."""
    return lambda one: any(map(holds, one.given["changes"]))


def ended(kind: str = "") -> Asked:
    """A task of the kind, or of any, becomes complete."""
    return changes(lambda change: change.after.status is Status.COMPLETE and kind in ("", change.after.kind))


def becomes(status: Status) -> Asked:
    """A task is in this state then; one that lost its holder is not meant."""
    return changes(lambda change: change.after.status is status and not change.expired)


def rescued(one: Passing) -> bool:
    """A task lost its holder."""
    return changes(lambda change: change.expired)(one)


def tells(event: type[Any]) -> Asked:
    """The entry holds such a fact."""
    return lambda one: any(isinstance(fact.event, event) for fact in one.given["entry"].facts)


def named(name: str) -> Asked:
    """One of the files that were made has this name."""
    return lambda one: any(Path(path).name == name for path, _ in one.given["made"])


def lies_at(name: str) -> Asked:
    """The file has this name."""
    return lambda one: bool(one.given["path"].name == name)


def says(words: str) -> Asked:
    """The statement has these words."""
    return lambda one: words in str(one.given["statement"])
