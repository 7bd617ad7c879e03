"""A sketch of run times: counts by buckets that widen by 4 %. Sketches of one another's parts add up, in any order.

Whoever takes a bucket for its members is wrong by at most 2 %. All is whole microseconds, so that two machines never
disagree about a bucket."""

from bisect import bisect_left
from datetime import timedelta

MOST = 10**18  # microseconds: longer than all the time that a datetime can tell
WIDER, THAN = 26, 25


def _tops() -> list[int]:
    """The last member of each bucket: 0, 1, 2, …, 25, 26, 27, …, 50, 52, …"""
    tops = [0]
    while tops[-1] < MOST:
        tops.append(max(tops[-1] + 1, tops[-1] * WIDER // THAN))
    return tops


TOPS = _tops()
MICROSECOND = timedelta(microseconds=1)


def bucket(time: timedelta) -> int:
    """The bucket of a run time. Clocks of two machines differ: one that ended before it began took no time."""
    return bisect_left(TOPS, max(time // MICROSECOND, 0))


def seconds(bucket: int) -> float:
    """A time that differs from every member of the bucket by at most 2 % of that member."""
    last = TOPS[bucket]
    first = TOPS[bucket - 1] + 1 if bucket else 0
    return 2 * first * last / (first + last) / 1e6 if last else 0.0
