"""When which fault strikes: from a seed, so that the same seed makes the same schedule."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

SETTLE_S = 6.0  # at most, between the end of a fault and the begin of the next
SHORTEST = 1 / 6  # of it


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault that is to strike once the last one is over, `after_s` later, and to last for so long."""

    number: int
    kind: str
    after_s: float
    lasts_s: float


Form = tuple[tuple[float, float], int]
"""Of a kind: how short and how long it lasts, in seconds, and how often it strikes in one round."""


def schedule(seed: int, seconds: float, kinds: Mapping[str, Form], settle_s: float = SETTLE_S) -> list[Planned]:
    """Faults for so many seconds, in rounds: in each, every kind strikes as often as its form says, in any order.
    Between the end of one and the begin of the next lie from `settle_s` * SHORTEST to `settle_s` seconds."""
    every = [name for name, (_, times) in sorted(kinds.items()) for _ in range(times)]
    chance, found, left = random.Random(seed), list[Planned](), list[str]()
    at = 0.0
    while at < seconds and every:
        if not left:
            left = chance.sample(every, len(every))
        kind = left.pop()
        settle = chance.uniform(settle_s * SHORTEST, settle_s)
        planned = Planned(len(found) + 1, kind, settle, chance.uniform(*kinds[kind][0]))
        found.append(planned)
        at += planned.after_s + planned.lasts_s
    return found
