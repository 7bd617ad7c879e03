"""`make sabotage`: every sabotage build must turn the drill or the matrix red, and the program itself must not."""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Annotated

from cyclopts import App, Parameter

from infra.exits import DONE, FAILED, USAGE
from tests.sabotage.build import Build
from tests.sabotage.builds import BUILDS
from tests.sabotage.trial import Ended, Trial, sabotaged, sound

MOST = 300  # characters of an offender that are told to people
app = App(help="Check the checker: apply mistakes to a copy of the program, and see whether they are noticed.")


@app.default
def main(
    *names: str,
    sound_too: Annotated[bool, Parameter(name="--sound", negative="--no-sound")] = True,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Try these builds, or all, and then the program itself with the same commands.

    Parameters
    ----------
    names
        Of builds; without one all of them are tried.
    sound_too
        Whether the program itself is tried, too. Without it a red verdict proves little.
    as_json
        Tell the trials as JSON on stdout.
    """
    if unknown := sorted(set(names) - {build.name for build in BUILDS}):
        print(f"No build is named {', '.join(unknown)}. There are: {', '.join(one.name for one in BUILDS)}.")
        return USAGE
    trials = list(_trials([build for build in BUILDS if not names or build.name in names], sound_too))
    if as_json:
        print(json.dumps([asdict(one) for one in trials], indent=2))
    good = sum(map(is_good, trials))
    _say(f"{good} of {len(trials)} trials ended as they should.")
    return DONE if good == len(trials) else FAILED


def is_good(trial: Trial) -> bool:
    """A build must be noticed by what it hurts; the program itself must be sound."""
    return trial.ended is (Ended.RED if trial.name else Ended.GREEN)


def _trials(builds: list[Build], sound_too: bool) -> Iterator[Trial]:
    yield from _told(sabotaged(build) for build in builds)
    if sound_too:
        yield from _told(sound(command) for command in dict.fromkeys(build.noticed_by for build in builds))


def _told(trials: Iterable[Trial]) -> Iterator[Trial]:
    for trial in trials:
        name = trial.name or "the program itself"
        _say(f"{name:<22} {_how(trial):<13} {trial.seconds:>5.0f} s  {trial.by or trial.command}")
        for one in trial.said:
            _say(f"    {one if trial.ended is Ended.NO_VERDICT else one[:MOST]}")
        yield trial


def _how(trial: Trial) -> str:
    if trial.name and trial.ended is Ended.GREEN:
        return "NOT CAUGHT"
    return "caught" if trial.ended is Ended.RED else trial.ended


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(app())
