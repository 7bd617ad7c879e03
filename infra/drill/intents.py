"""What the load meant to do, on the disk before it was sent: the drill's own memory, which no fault can reach."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any


class Answered(StrEnum):
    """What became of an intent, as its sender knows it."""

    OK = "ok"  # a 2xx was heard
    REFUSED = "refused"  # a 4xx was heard
    UNKNOWN = "unknown"  # whether it was taken, nobody heard


@dataclass(frozen=True, slots=True)
class Intent:
    """One request that writes. Whoever repeats it sends the same key."""

    number: int
    story: str
    key: str
    path: str
    body: Any
    at: datetime


@dataclass(frozen=True, slots=True)
class Heard:
    """The definite answer to an intent, or that there was none."""

    number: int
    answered: Answered
    status: int = 0
    tasks: tuple[str, ...] = ()
    id: str = ""


@dataclass(slots=True)
class Intents:
    """A file of lines, each of which is on the disk before `mean` returns."""

    path: Path
    _file: int = field(init=False)
    _last: int = 0

    def __post_init__(self) -> None:
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def next(self) -> int:
        self._last += 1
        return self._last

    def mean(self, intent: Intent) -> None:
        self._write("intent", intent)
        os.fdatasync(self._file)

    def hear(self, heard: Heard) -> None:
        self._write("heard", heard)

    def __enter__(self) -> "Intents":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def _write(self, what: str, one: Intent | Heard) -> None:
        told = {name: getattr(one, name) for name in one.__slots__}
        os.write(self._file, json.dumps({what: told}, default=str).encode() + b"\n")


def read(path: Path) -> tuple[list[Intent], dict[int, Heard]]:
    """All of them, and what was heard last of each."""
    intents, heard = [], {}
    for line in _lines(path):
        match json.loads(line):
            case {"intent": told}:
                intents.append(Intent(**told | {"at": datetime.fromisoformat(told["at"])}))
            case {"heard": told}:
                answered = Answered(told["answered"])
                heard[told["number"]] = Heard(**told | {"answered": answered, "tasks": tuple(told["tasks"])})
    return intents, heard


def _lines(path: Path) -> Iterable[str]:
    with path.open() as file:
        yield from file
