"""What a caller asks to be done: a body becomes a task that could be accepted, or all that is wrong with it is told."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from adapters.http.body import MOST_REQUEST
from adapters.http.problems import Problem, invalid
from adapters.http.shape import Flaw, flaw, flaws, step
from adapters.http.shown import ENCODER
from domain.kind import AnyKind
from domain.record import Value

MOST_WISHES = 1_000
MOST_NEEDS = 100
FIRST, BEYOND = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)  # when a task may be due
Kinds = Mapping[str, AnyKind]


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    kind: str
    request: dict[str, Any]
    due_at: Annotated[datetime, msgspec.Meta(tz=True, description="from 1970 to 9998")] | None = None
    needs: Annotated[list[str], msgspec.Meta(max_length=MOST_NEEDS)] = []


class Wish(Value, frozen=True):
    kind: AnyKind
    request: dict[str, Any]  # as it was given: the worker fills in what was left out
    due_at: datetime | None  # UTC
    needs: tuple[str, ...]  # as they were given: see needs.py
    pointer: str  # to where it stands in the body


def wish(value: Any, kinds: Kinds) -> Wish:
    """Raises Problem, with a pointer to every wrong item."""
    return _granted([value], [""], kinds)[0]


def wishes(value: Any, kinds: Kinds) -> list[Wish]:
    """A list of them: all, or none."""
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_WISHES:
        raise invalid([flaw("", f"Expected a list of 1 to {MOST_WISHES} tasks")])
    return _granted(value, [step(number) for number in range(len(value))], kinds)


def _granted(values: list[Any], pointers: list[str], kinds: Kinds) -> list[Wish]:
    found = [one for value, at in zip(values, pointers, strict=True) for one in _flaws(value, at, kinds)]
    if found:
        raise invalid(found)
    _require_small(values, pointers)
    return [_wish(value, at, kinds) for value, at in zip(values, pointers, strict=True)]


def _flaws(value: Any, at: str, kinds: Kinds) -> list[Flaw]:
    found = flaws(value, Body, at)
    if not isinstance(value, dict):
        return found
    name, request = value.get("kind"), value.get("request")
    if isinstance(name, str):
        if name not in kinds:
            found.append(flaw(f"{at}/kind", f"The kind {name[:64]!r} is unknown; known are {', '.join(sorted(kinds))}"))
        elif isinstance(request, dict):
            found += flaws(request, kinds[name].request, f"{at}/request")
    if not found and not _possible(value.get("due_at")):
        found.append(flaw(f"{at}/due_at", "Expected a time from the year 1970 to 9998"))
    return found


def _require_small(values: list[Any], pointers: list[str]) -> None:
    found = [
        flaw(f"{at}/request", f"The request has more than {MOST_REQUEST} bytes as JSON")
        for value, at in zip(values, pointers, strict=True)
        if len(ENCODER.encode(value["request"])) > MOST_REQUEST
    ]
    if found:
        raise Problem("too-large", f"The request of a task has at most {MOST_REQUEST} bytes as JSON.", found)


def _wish(value: dict[str, Any], at: str, kinds: Kinds) -> Wish:
    due_at = value.get("due_at")
    utc = msgspec.convert(due_at, datetime).astimezone(UTC) if due_at is not None else None
    return Wish(kinds[value["kind"]], value["request"], utc, tuple(value.get("needs", ())), at)


def _possible(due_at: str | None) -> bool:
    """Near the years 1 and 9999 a time may have no UTC; and the driver takes the first and the last of them for
    infinity, which comes back as another time."""
    return due_at is None or FIRST <= msgspec.convert(due_at, datetime) < BEYOND
