"""A sabotage build: what is changed in a copy of the program, and how the drill or the crash matrix is to notice."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Change:
    """In this file the old text, which stands there once, gives way to the new one."""

    file: str
    old: str
    new: str


class Stale(Exception):
    """A change does not fit the program any more; the message says which."""


@dataclass(frozen=True, slots=True)
class Drill:
    """`postcommit drill` with these faults."""

    faults: tuple[str, ...]
    minutes: float
    seed: int = 1

    @property
    def argv(self) -> tuple[str, ...]:
        faults = [word for name in self.faults for word in ("--faults", name)]
        told = ("--minutes", str(self.minutes), "--seed", str(self.seed))
        return ("-m", "infra.cli", "drill", "--json", *told, *faults)


@dataclass(frozen=True, slots=True)
class Matrix:
    """The crash matrix at these points."""

    points: tuple[str, ...]

    @property
    def argv(self) -> tuple[str, ...]:
        return ("-m", "infra.drill.matrix", "--json", "--points", *self.points)


@dataclass(frozen=True, slots=True)
class Build:
    """One mistake. `reason` says why it hurts in just this form; where the program's other defences make a smaller form
    harmless, it says so. `named` are words of the verdict, of which it must say at least one."""

    name: str
    reason: str
    changes: tuple[Change, ...]
    noticed_by: Drill | Matrix
    named: tuple[str, ...]


def changed(build: Build, root: Path) -> Mapping[str, str]:
    """The files of the build as they are after all its changes, by name; nothing is written. Raises Stale."""
    texts: dict[str, str] = {}
    for change in build.changes:
        text = texts.get(change.file) or (root / change.file).read_text()
        if (times := text.count(change.old)) != 1:
            raise Stale(f"{build.name}: in {change.file} this stands {times} times, and not once:\n{change.old}")
        texts[change.file] = text.replace(change.old, change.new)
    return texts
