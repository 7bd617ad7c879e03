"""How long the program needs after a fault until everything that was open moves again."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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
    ordered = sorted(one.seconds for one in found)
    slowest = sorted(found, key=lambda one: -one.seconds)[:MOST]
    return {
        "p50": _quantile(ordered, 0.5),
        "p99": _quantile(ordered, 0.99),
        "max": _quantile(ordered, 1.0),
        "slowest": [f"{one.seconds:.1f} s after {one.fault}: {one.last}" for one in slowest if one.last],
    }


def _quantile(ordered: Sequence[float], share: float) -> float:
    return round(ordered[min(math.ceil(share * len(ordered)), len(ordered)) - 1], 2) if ordered else 0.0
