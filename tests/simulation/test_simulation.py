"""Is every promise kept, whatever strikes at whatever moment? The whole service in virtual time, from seeds.

`python -m tests.simulation --seed N` tells how one of them went."""

import hashlib
import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.simulation.checks import Broken
from tests.simulation.mutations import MUTATIONS, mutated
from tests.simulation.run import survey, traced

SEEDS, PARTS = 500, 10
WITHIN = 200  # seeds in which a broken program is found
STRUCK = (
    *("kill", "die_soon", "freeze", "terminate", "restart_postgres", "stop_nats", "wipe", "truncate", "forge"),
    *("call lost", "answer lost", "done behind the caller's back", "slow", "late commit", "rolled back"),
    *("late publish", "publish refused", "session lost", "new epoch", "task.Rescued", "task.CancelRequested"),
)


@pytest.mark.parametrize("part", range(PARTS))
def test_no_promise_is_broken_whatever_strikes(part: int) -> None:
    happened, each = Counter[str](), SEEDS // PARTS
    broken = survey(range(part * each, (part + 1) * each), happened)
    assert broken is None, f"\n{broken}"
    assert [what for what in STRUCK if not happened[what]] == [], "It did not strike at all."


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_program_that_is_broken_is_found(name: str) -> None:
    with mutated(MUTATIONS[name]):
        found = survey(range(WITHIN), Counter())
    assert found is not None, "The simulation is too weak to see it."
    assert isinstance(found.error, Broken), "It does not break a promise, it does not run at all."


def test_a_seed_goes_the_same_way_again_in_any_process() -> None:
    program = "from tests.simulation.test_simulation import digest; print(digest())"
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == digest() == digest()


def digest() -> str:
    """Of everything that happened in two lives."""
    return hashlib.sha256("\n".join([*traced(3).trace, *traced(10).trace]).encode()).hexdigest()
