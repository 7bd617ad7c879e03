"""`make matrix`: at every crash point the role dies once, with each kind of work. Nothing is lost, nothing shows twice.

A duplicate effect is admitted only where a crash falls between the far side's taking it and our commit."""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path

import httpx

from infra.drill.matrix.armed import Order
from infra.drill.matrix.cells import Cell
from infra.drill.matrix.heavy_works import clip
from infra.drill.matrix.insisting import Unanswered, written
from infra.drill.matrix.points import POINTS
from infra.drill.matrix.striking import WORKS, Striking
from infra.drill.matrix.works import Floor, ordered
from infra.drill.service import CRASHING, ROLES, Ended, Service, started
from infra.drill.stories import LAMP
from infra.exits import DONE, FAILED

SETTINGS = {
    "POSTCOMMIT_LEASE_S": "2",
    "POSTCOMMIT_HEARTBEAT_S": "0.5",
    "POSTCOMMIT_GRACE_S": "2",
    "POSTCOMMIT_VIDEO_SIDES": "144",
    "POSTCOMMIT_VIDEO_PRESET": "ultrafast",
    "POSTCOMMIT_IMAGE_SIDES": "160",
}
SERVICES = 2  # beside one another: most of the time each waits for a lease, or for a role to be there again
ORDERS = 3  # that the reports tell of


async def matrix(
    home: Path, names: Sequence[str], kinds: Sequence[str] = tuple(WORKS), services: int = SERVICES
) -> list[Cell]:
    """Crash at each of the points with each of the kinds that reach it; so many services share the cells."""
    wanted = turns(names, kinds)
    shares = [share for number in range(services) if (share := wanted[number::services])]
    found = await asyncio.gather(*(_struck(Path(f"{home}-{number}"), one) for number, one in enumerate(shares)))
    return list(chain.from_iterable(found))


def turns(names: Sequence[str], kinds: Sequence[str]) -> list[tuple[str, str]]:
    """The cells, so that no role dies all the time: what dies again and again is started ever later."""
    of_role: dict[str, list[tuple[str, str]]] = {role: [] for role in ROLES}
    for name in names:
        of_role[POINTS[name].role] += [(name, kind) for kind in POINTS[name].kinds if kind in kinds]
    placed = [((at + 0.5) / len(cells), cell) for cells in of_role.values() for at, cell in enumerate(cells)]
    return [cell for _, cell in sorted(placed, key=lambda one: one[0])]


async def _struck(home: Path, wanted: Sequence[tuple[str, str]]) -> list[Cell]:
    async with (
        started(home, SETTINGS | {CRASHING: "1"}) as service,
        service.client("operator", 20) as client,
        service.postgres() as connection,
    ):
        return await _all(Striking(await _floor(service, client), connection, Order(home / "crash")), wanted)


async def _all(striking: Striking, wanted: Sequence[tuple[str, str]]) -> list[Cell]:
    cells: list[Cell] = []
    try:
        await striking.begin()
        for name, kind in wanted:
            cells.append(await striking.cell(name, kind))
            _say(cells[-1])
        wrong = await striking.at_the_end()
    except (Ended, Unanswered, TimeoutError, httpx.HTTPError) as error:
        wrong = [f"{error} {len(wanted) - len(cells)} cells were left."]
    return cells + [Cell("at the end", "all", 0, 0, 0.0, (one,)) for one in wrong]


async def _floor(service: Service, client: httpx.AsyncClient) -> Floor:
    film = await asyncio.to_thread(clip, service.home / "film.mp4")
    lamp, begin = (await written(client, "/v1/items", LAMP))["id"], datetime.now(UTC)
    floor = Floor(service, client, lamp, {}, ORDERS, film, count(1))
    for _ in range(ORDERS):
        await ordered(floor)
    return replace(floor, period={"begin": begin.isoformat(), "end": datetime.now(UTC).isoformat()})


def _say(cell: Cell) -> None:
    told = "; ".join(cell.wrong) or "good"
    print(f"{cell.point:<28} {cell.kind:<13} {cell.reached} x {cell.seconds:>5} s  {told}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", nargs="*", choices=list(POINTS), default=list(POINTS), metavar="POINT")
    parser.add_argument("--kinds", nargs="*", choices=list(WORKS), default=list(WORKS))
    parser.add_argument("--services", type=int, default=SERVICES, help="that share the cells, beside one another")
    parser.add_argument("--json", action="store_true", help="all of it, for programs")
    given, begin = parser.parse_args(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="postcommit-matrix-") as folder:
        cells = asyncio.run(matrix(Path(folder) / "home", given.points, given.kinds, given.services))
    good, minutes = sum(not cell.wrong for cell in cells), (time.monotonic() - begin) / 60
    if given.json:
        print(json.dumps([asdict(cell) for cell in cells], indent=2))
    print(f"{good} of {len(cells)} cells are good, in {minutes:.1f} minutes.", file=sys.stderr)
    sys.exit(DONE if cells and good == len(cells) else FAILED)
