"""Is a drill the same for the same seed?"""

from collections import Counter

from infra.drill.faults import FAULTS
from infra.drill.schedule import schedule

LASTING = {name: fault.lasts_s for name, fault in FAULTS.items()}


def test_the_same_seed_makes_the_same_faults() -> None:
    assert schedule(7, 3_600, LASTING) == schedule(7, 3_600, LASTING)
    assert schedule(7, 3_600, LASTING) != schedule(8, 3_600, LASTING)


def test_every_kind_strikes_before_one_strikes_again() -> None:
    planned = schedule(7, 7_200, LASTING)
    counts = Counter(one.kind for one in planned)
    assert counts.keys() == FAULTS.keys()
    assert max(counts.values()) - min(counts.values()) <= 1
    for one in planned:
        shortest, longest = LASTING[one.kind]
        assert shortest <= one.lasts_s <= longest
