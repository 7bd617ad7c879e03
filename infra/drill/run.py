"""`postcommit drill`: the service under load and under faults, and then the verdict. It starts what it strikes."""

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from infra.drill.campaign import say
from infra.drill.course import Wanted, drilled
from infra.drill.disk import Absent, Disk, plugged
from infra.drill.faults.table import FAULTS, NEEDING_A_DISK, NEEDING_A_STORE
from infra.drill.service import NotStarted
from infra.drill.surroundings import machine, versions
from infra.drill.verdict import Verdict
from infra.exits import DONE, FAILED, Failed, Misused, Refused

DISK_BYTES = 16 * 1024**3  # of which the file takes what is used
LONGEST_SETTLE_S = 60.0
MOST = 10  # offenders of one sort that are told to people


def drill(
    minutes: float, seed: int, settle_s: float, faults: Sequence[str], home: Path | None, as_json: bool, afar: bool
) -> int:
    """Drill, and tell the verdict; answers with the exit code. `faults` are patterns of their names; none: all.

    Raises Misused where no fault has such a name, Refused where the directory is in use, Failed where it did not start
    or was told to end."""
    kinds = _named(faults, FAULTS)
    if minutes <= 0:
        raise Refused(f"The minutes of a drill should be more than 0, and they are {minutes:g}.")
    if not 0 < settle_s <= LONGEST_SETTLE_S:
        raise Refused(f"--settle-s should be more than 0 and at most {LONGEST_SETTLE_S:g}, and it is {settle_s:g}.")
    if home is not None and home.exists() and any(home.iterdir()):
        raise Refused(f"The drill begins in a directory of its own, and {home} is not empty.")
    place = (home or Path(tempfile.mkdtemp(prefix="postcommit-drill-"))).resolve()
    place.mkdir(parents=True, exist_ok=True)
    good, begun = False, _now()
    try:
        with _disk(place, kinds) as disk:
            away = (NEEDING_A_DISK if disk is None else frozenset()) | (frozenset() if afar else NEEDING_A_STORE)
            left = [name for name in kinds if name not in away]
            if not left:
                raise Refused("There is no fault left to strike: a drill without one proves nothing.")
            verdict = asyncio.run(drilled(place, disk, Wanted(minutes, seed, settle_s, left, afar)))
            with suppress(OSError):  # the verdict is told all the same
                _kept(place, disk, verdict)
        skipped = sorted(set(kinds) - set(left))
        shown = {
            **{"good": verdict.good, "seed": seed, "minutes": minutes, "settle_s": settle_s, "skipped": skipped},
            **{"command": " ".join(["postcommit", *sys.argv[1:]]), "begun": begun, "ended": _now()},
            **{"machine": machine(), "versions": versions(), **asdict(verdict)},
        }
        print(json.dumps(shown, indent=2) if as_json else told(verdict))
        good = verdict.good
        (place / "verdict.json").write_text(json.dumps(shown, indent=2))
    except NotStarted as error:
        raise Failed(f"The service under the drill did not start: {error}") from error
    except asyncio.CancelledError:
        raise Failed("The drill was told to end before its verdict.") from None
    finally:
        if home is None and (good or not any(place.iterdir())):
            shutil.rmtree(place, ignore_errors=True)
        else:
            say(f"The evidence is kept in {place}")
    return DONE if good else FAILED


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def _named(patterns: Sequence[str], every: Iterable[str]) -> list[str]:
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in every):
            raise Misused(f"No fault is named {pattern!r}. There are: {', '.join(sorted(every))}.")
    return [name for name in sorted(every) if not patterns or any(fnmatchcase(name, one) for one in patterns)]


@contextmanager
def _disk(place: Path, kinds: Sequence[str]) -> Iterator[Disk | None]:
    """A disk of its own, where a fault needs one and there can be one."""
    needing = [name for name in kinds if name in NEEDING_A_DISK]
    with ExitStack() as plugging:
        try:
            disk = plugging.enter_context(plugged(place, DISK_BYTES)) if needing else None
        except Absent as error:
            say(f"SKIPPED: {', '.join(needing)}: {error}.")
            disk = None
        yield disk


def _kept(place: Path, disk: Disk | None, verdict: Verdict) -> None:
    """Where something is wrong, the logs must outlive the disk."""
    if disk is not None and not verdict.good:
        shutil.copytree(disk.path / "service/logs", place / "logs")


def told(verdict: Verdict) -> str:
    """The verdict as a table."""
    lines = [f"{len(found):>6}  {name}" for name, found in verdict.wrong.items()]
    lines += [f"        {name}: {one}" for name, found in verdict.wrong.items() for one in found[:MOST]]
    lines += ["", *(f"{name:<22} {value}" for name, value in verdict.figures.items())]
    return "\n".join([*lines, "", "The verdict: " + ("nothing is wrong." if verdict.good else "NOT GOOD.")])
