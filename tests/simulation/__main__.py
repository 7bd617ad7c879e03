"""`python -m tests.simulation --seeds 20000 [--from N]`, or `--seed N` for one life with its trace. Ends with 1 where a
promise was broken; the seed is told, and everything that led to it."""

import argparse
import sys
import time
from collections import Counter

from tests.simulation.run import Life, survey, traced

AT_ONCE = 500  # seeds between two lines of progress


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=500, help="how many")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first of them")
    parser.add_argument("--seed", type=int, help="only this one, with its trace")
    given = parser.parse_args()
    if given.seed is not None:
        life = traced(given.seed)
        print(life)
        return int(life.error is not None)
    return _all(range(given.first, given.first + given.seeds))


def _all(seeds: range) -> int:
    happened, begin = Counter[str](), time.monotonic()
    for first in range(seeds.start, seeds.stop, AT_ONCE):
        found: Life | None = survey(range(first, min(first + AT_ONCE, seeds.stop)), happened)
        if found is not None:
            print(f"{found}\nLive through it again: python -m tests.simulation --seed {found.seed}")
            return 1
        done = min(first + AT_ONCE, seeds.stop) - seeds.start
        print(f"{done} of {len(seeds)} seeds, {time.monotonic() - begin:.0f} s", file=sys.stderr)
    print("\n".join(f"{number:10} {what}" for what, number in sorted(happened.items())))
    print(f"{len(seeds)} seeds, from {seeds.start}: no promise was broken.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
