"""When which fault strikes: from a seed, so that the same seed makes the same schedule."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

SETTLE_S = (1.0, 6.0)  # between the end of a fault and the begin of the next


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault that is to strike once the last one is over, `after_s` later, and to last for so long."""

    number: int
    kind: str
    after_s: float
    lasts_s: float


def schedule(seed: int, seconds: float, lasting: Mapping[str, tuple[float, float]]) -> list[Planned]:
    """Faults for so many seconds. Every kind strikes once, in any order, before one strikes again.

    `lasting` says of each kind how short and how long it lasts, in seconds."""
    chance, found, left = random.Random(seed), list[Planned](), list[str]()
    at = 0.0
    while at < seconds and lasting:
        if not left:
            left = chance.sample(sorted(lasting), len(lasting))
        kind = left.pop()
        planned = Planned(len(found) + 1, kind, chance.uniform(*SETTLE_S), chance.uniform(*lasting[kind]))
        found.append(planned)
        at += planned.after_s + planned.lasts_s
    return found
