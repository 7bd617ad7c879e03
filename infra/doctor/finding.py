"""What the doctor found at one place, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    OK = "ok"
    UNKNOWN = "unknown"  # it cannot be seen from here
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    name: str
    state: State
    found: str  # a full sentence
    advice: str = ""  # what to do, where it is not well


def ok(name: str, found: str) -> Finding:
    return Finding(name, State.OK, found)


def unknown(name: str, found: str, advice: str) -> Finding:
    return Finding(name, State.UNKNOWN, found, advice)


def warning(name: str, found: str, advice: str) -> Finding:
    return Finding(name, State.WARNING, found, advice)


def failed(name: str, found: str, advice: str) -> Finding:
    return Finding(name, State.FAILED, found, advice)
