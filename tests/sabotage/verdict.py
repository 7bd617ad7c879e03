"""What the drill or the matrix says of a build, as sentences: `list: offender`, whichever of the two it was."""

import json
from collections.abc import Sequence
from typing import Any


class Unreadable(Exception):
    """What was printed is no verdict: the program did not come so far."""


def complaints(printed: str) -> list[str]:
    """What is wrong by the verdict on stdout; none where it is green. Raises Unreadable."""
    try:
        told: Any = json.loads(printed)
    except ValueError as error:
        raise Unreadable("There is no verdict.") from error
    match told:
        case {"wrong": dict(lists)}:
            return [f"{name}: {one}" for name, offenders in lists.items() for one in offenders]
        case [*cells] if cells:
            return [f"{cell['point']}, {cell['kind']}: {one}" for cell in cells for one in cell["wrong"]]
    raise Unreadable("The verdict has another form than is known here.")


def naming(named: Sequence[str], said: Sequence[str]) -> list[str]:
    """The sentences that say one of these."""
    return [one for one in said if any(word in one for word in named)]


def lists(said: Sequence[str]) -> dict[str, int]:
    """How many sentences each list or cell has."""
    found: dict[str, int] = {}
    for one in said:
        name = one.partition(": ")[0]
        found[name] = found.get(name, 0) + 1
    return found
