"""Is a drill the same for the same seed?"""

from collections import Counter

from infra.drill.faults.table import FAULTS
from infra.drill.schedule import schedule

KINDS = {name: (fault.lasts_s, fault.weight) for name, fault in FAULTS.items()}


def test_the_same_seed_makes_the_same_faults() -> None:
    assert schedule(7, 3_600, KINDS) == schedule(7, 3_600, KINDS)
    assert schedule(7, 3_600, KINDS) != schedule(8, 3_600, KINDS)


def test_between_two_faults_lies_what_was_asked_for() -> None:
    for settle_s in (6.0, 15.0):
        between = [one.after_s for one in schedule(7, 7_200, KINDS, settle_s)]
        assert settle_s / 6 <= min(between) < settle_s / 5
        assert settle_s * 0.9 < max(between) <= settle_s


def test_every_kind_strikes_as_often_as_its_weight_says_before_one_strikes_again() -> None:
    planned = schedule(7, 7_200, KINDS)
    counts = Counter(one.kind for one in planned)
    assert counts.keys() == FAULTS.keys()
    rounds = [counts[name] / weight for name, (_, weight) in KINDS.items()]
    assert max(rounds) - min(rounds) <= 1
    for one in planned:
        shortest, longest = KINDS[one.kind][0]
        assert shortest <= one.lasts_s <= longest
