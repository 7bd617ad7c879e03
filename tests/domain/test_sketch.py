"""Is a run time told within 2 %, and are sketches the same on every machine?"""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import sketch

PROMISED = 0.02
times = st.integers(0, 10**17).map(lambda us: timedelta(microseconds=us)) | st.timedeltas(
    timedelta(0), timedelta(hours=2)
)


@given(times)
@settings(max_examples=1_000, deadline=None)
def test_a_time_is_told_within_two_percent(time: timedelta) -> None:
    told = sketch.seconds(sketch.bucket(time))
    assert abs(told - time.total_seconds()) <= PROMISED * time.total_seconds() + 1e-12


@given(times, times)
def test_a_longer_time_is_in_no_earlier_bucket(one: timedelta, other: timedelta) -> None:
    assert (sketch.bucket(one) <= sketch.bucket(other)) or one > other


def test_the_bounds_are_as_they_are_stored() -> None:
    """Buckets are numbers in the database: other bounds would give those that are there another meaning."""
    assert [sketch.TOPS[n] for n in (0, 1, 2, 25, 26, 49, 50, 51)] == [0, 1, 2, 25, 26, 49, 50, 52]
    assert (len(sketch.TOPS), sketch.TOPS[500], sketch.TOPS[-1]) == (1015, 1_784_828_370, 1015623771227441517)


@pytest.mark.parametrize(
    ("time", "seconds"),
    [(timedelta(0), 0.0), (timedelta(seconds=-3), 0.0), (timedelta(microseconds=7), 7e-6), (timedelta.max, 1e12)],
)
def test_the_ends_of_the_scale(time: timedelta, seconds: float) -> None:
    assert sketch.seconds(min(sketch.bucket(time), len(sketch.TOPS) - 1)) == pytest.approx(seconds, rel=PROMISED)
