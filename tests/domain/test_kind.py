"""What is a kind, and how long does it pause between two attempts?"""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.kind import Backoff, Kind
from tests.making import NO_TOKENS


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0.01, 60), st.floats(60, 3_600), st.floats(0, 1))
def test_a_pause_stays_within_its_bounds(n: int, chance: float, first: float, longest: float, jitter: float) -> None:
    backoff = Backoff(first, longest, jitter)
    pause = backoff.pause(n, chance)
    slack = timedelta(microseconds=2)
    assert timedelta(seconds=first * (1 - jitter)) - slack <= pause <= timedelta(seconds=longest * (1 + jitter)) + slack


@given(st.integers(1, 60))
def test_pauses_never_shrink(n: int) -> None:
    backoff = Backoff(1.0, 600.0)
    assert backoff.pause(n, 0.5) <= backoff.pause(n + 1, 0.5)


@pytest.mark.parametrize("wrong", NO_TOKENS)
def test_a_name_that_could_widen_a_subject_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="cannot be a token"):
        Kind(name=wrong, request=dict, result=dict)
    with pytest.raises(ValueError, match="cannot be a token"):
        Kind(name="email", queue=wrong, request=dict, result=dict)
