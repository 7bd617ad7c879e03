"""What keeps files: a file that no stream holds may go. A fold of the log."""

from collections.abc import Iterable
from typing import NamedTuple

from domain import upload
from domain.log import Recorded


class Hold(NamedTuple):
    """The stream of a thing for whose sake a file is kept."""

    stream: str
    sha256: str


def changes(recorded: Iterable[Recorded]) -> tuple[set[str], set[Hold]]:
    """The streams that hold nothing of what they held before these facts, and what is held by them."""
    released: set[str] = set()
    held: set[Hold] = set()
    for fact in (one.fact for one in recorded):
        match fact.event:
            case upload.Finished(file=file):
                held.add(Hold(fact.stream, file.sha256))
            case upload.Terminated():
                released.add(fact.stream)
                held = {one for one in held if one.stream != fact.stream}
            case _:
                pass
    return released, held
