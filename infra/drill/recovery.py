"""How long the program needs after a fault until everything that was open moves again.

Each task must move itself. One that waits for others cannot, whatever the program does, before these are complete; so
their pauses and their work count, too. By a milder rule, told beside it, such a task moves with what it needs."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from infra.drill.evidence import Life, Struck

MOST = 10  # of the slowest that are named


@dataclass(frozen=True, slots=True)
class Recovery:
    """Of one fault: the seconds from its end until every task that was open at its begin had moved, and the last that
    did; none where all had moved before."""

    fault: str
    seconds: float = 0.0
    last: str = ""


def told(lives: Mapping[str, Life], struck: Sequence[Struck]) -> Mapping[str, object]:
    """The figures of the verdict."""
    found, together = recoveries(lives.values(), struck), recoveries(_with_their_needs(lives), struck)
    worst = {one.fault: 0.0 for one in found}
    for one in found:
        worst[one.fault] = max(worst[one.fault], round(one.seconds, 2))
    return {**figures(found), "worst_by_fault": dict(sorted(worst.items())), "with_its_needs": quantiles(together)}


def _with_their_needs(lives: Mapping[str, Life]) -> Iterable[Life]:
    for life in lives.values():
        ends = [lives[id].ended for id in life.needs if id in lives]
        free = None if None in ends else max(filter(None, ends), default=None)  # from here on it must move itself
        moved = [at for id in _needed(life, lives) for at in lives[id].moved]
        needed = [at for at in moved if life.began and at > life.began and (free is None or at < free)]
        yield replace(life, moved=sorted([*life.moved, *needed])) if needed else life


def _needed(life: Life, lives: Mapping[str, Life]) -> Iterable[str]:
    """What it needs, and what that needs, all the way down; each once."""
    left, found = list(life.needs), dict[str, None]()
    while left:
        id = left.pop()
        if id in lives and id not in found:
            found[id] = None
            left += lives[id].needs
    return found


def recoveries(lives: Iterable[Life], struck: Sequence[Struck]) -> list[Recovery]:
    """Of each fault, in the order of their begins."""
    coming = sorted((life for life in lives if life.began is not None), key=_began, reverse=True)
    open, found = list[Life](), list[Recovery]()
    for one in sorted(struck, key=lambda each: each.began):
        while coming and _began(coming[-1]) <= one.began:
            open.append(coming.pop())
        open = [life for life in open if life.ended is None or life.ended > one.began]
        found.append(max(_of(one, open), key=lambda each: each.seconds, default=Recovery(one.kind)))
    return found


def _began(life: Life) -> datetime:
    assert life.began is not None
    return life.began


def _of(one: Struck, lives: Iterable[Life]) -> Iterable[Recovery]:
    """Of those that were open at its begin and at its end, and did not move meanwhile."""
    for life in lives:
        if life.ended is not None and life.ended <= one.ended:
            continue
        if any(one.began < at <= one.ended for at in life.moved):
            continue
        if after := next((at for at in life.moved if at > one.ended), None):
            yield Recovery(one.kind, (after - one.ended).total_seconds(), f"{life.kind} {life.id}")


def figures(found: Sequence[Recovery]) -> Mapping[str, object]:
    """p50, p99 and max in seconds, and the slowest."""
    slowest = [one for one in sorted(found, key=lambda one: -one.seconds)[:MOST] if one.last]
    return {**quantiles(found), "slowest": [f"{one.seconds:.1f} s after {one.fault}: {one.last}" for one in slowest]}


def quantiles(found: Sequence[Recovery]) -> Mapping[str, float]:
    """In seconds."""
    ordered = sorted(one.seconds for one in found)
    return {name: _quantile(ordered, share) for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))}


def _quantile(ordered: Sequence[float], share: float) -> float:
    return round(ordered[min(math.ceil(share * len(ordered)), len(ordered)) - 1], 2) if ordered else 0.0
