"""Whose child is whose, as the kernel tells it."""

from collections import defaultdict
from pathlib import Path


def below(pid: int) -> list[int]:
    """The processes that descend from this one, itself not among them."""
    children, found = _children(), list[int]()
    left = [pid]
    while left:
        left = [child for parent in left for child in children.get(parent, ())]
        found += left
    return found


def _children() -> dict[int, list[int]]:
    found = defaultdict[int, list[int]](list)
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                rest = (path / "stat").read_text().rpartition(")")[2].split()  # proc(5): state, ppid, …
            except OSError:  # it has ended
                continue
            found[int(rest[1])].append(int(path.name))
    return found
