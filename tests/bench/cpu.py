"""Processor time and memory of whole families of processes, servers included."""

import os
from collections.abc import Iterable
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def seconds(roots: Iterable[int]) -> float:
    """User and system time so far of these processes and all that they started, ended children included."""
    return sum(_spent(roots).values())


def memory_mib(root: int) -> float:
    """What this process and all that it started hold for themselves (proportional set size)."""
    total = 0.0
    for pid in _spent([root]):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:  # ended meanwhile
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return total


def _spent(roots: Iterable[int]) -> dict[int, float]:
    """The seconds of each of them, by its process id."""
    children: dict[int, list[int]] = {}
    spent: dict[int, float] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(") ")[2].split()
        except OSError:  # ended meanwhile
            continue
        pid = int(stat.parent.name)
        children.setdefault(int(fields[1]), []).append(pid)
        spent[pid] = sum(map(int, fields[11:15])) * TICK_S
    left, found = list(roots), dict[int, float]()
    while left:
        pid = left.pop()
        found[pid] = spent.get(pid, 0.0)
        left += children.get(pid, [])
    return found
