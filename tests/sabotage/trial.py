"""Is a build noticed? One trial is one command in one copy; the same command must find the program itself sound."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from infra.exits import DONE, FAILED
from tests.sabotage.build import Build, Drill, Matrix, changed
from tests.sabotage.tree import ROOT, Ran, copied, run
from tests.sabotage.verdict import Unreadable, complaints, lists, naming

SHOWN = 3  # complaints that are told
TAIL = 2_000  # characters of what a command said that gave no verdict


class Ended(StrEnum):
    """How a trial ended."""

    GREEN = "green"  # the verdict finds nothing wrong
    RED = "red"  # and names what it was to name
    RED_OTHERWISE = "red otherwise"  # by other lists than were expected
    NO_VERDICT = "no verdict"  # it did not start, broke down, or took too long


@dataclass(frozen=True, slots=True)
class Trial:
    """How a build, or where the name is empty the program itself, came through a command."""

    name: str
    command: str
    ended: Ended
    seconds: float
    by: dict[str, int]  # the lists or cells that are not empty, and how many offenders each has
    said: tuple[str, ...]  # the first offenders, or why there is no verdict


def sabotaged(build: Build) -> Trial:
    """Try the build. Raises Stale where it does not fit the program any more."""
    with copied(changed(build, ROOT)) as copy:
        begin = time.monotonic()
        ran = run(copy, build.noticed_by.argv)
        return judged(build.name, build.noticed_by, ran, time.monotonic() - begin, build.named)


def sound(command: Drill | Matrix) -> Trial:
    """Try the program as it is."""
    with copied({}) as copy:
        begin = time.monotonic()
        return judged("", command, run(copy, command.argv), time.monotonic() - begin, ())


def judged(name: str, command: Drill | Matrix, ran: Ran, seconds: float, named: Sequence[str]) -> Trial:
    """The trial of a command that ran so; without a name it is that of the program itself."""
    told = " ".join(command.argv)
    try:
        said = complaints(ran.printed)
    except Unreadable as error:
        why = f"{error} Exit code {ran.code}{'' if ran.in_time else ', out of time'}. {ran.talk[-TAIL:]}"
        return Trial(name, told, Ended.NO_VERDICT, seconds, {}, (why,))
    assert ran.code == (FAILED if said else DONE), f"The exit code is {ran.code}, and the verdict says {said[:1]}."
    fitting = naming(named, said)
    ended = Ended.RED if fitting else Ended.RED_OTHERWISE if said else Ended.GREEN
    return Trial(name, told, ended, seconds, lists(said), tuple((fitting or said)[:SHOWN]))
