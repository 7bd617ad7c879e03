"""`make matrix`: at every crash point the role dies once, with each kind of work. Nothing is lost, nothing shows twice.

A duplicate effect is admitted only where a crash falls between the far side's taking it and our commit. A cell begins
when all is quiet: so whatever passes at its point, and whatever the log has more at its end, is its own."""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import httpx

from infra.drill import watch
from infra.drill.armed import Order
from infra.drill.cells import Cell, Seen, phantoms, wrong
from infra.drill.heavy_works import HEAVY, clip
from infra.drill.insisting import Unanswered, told, written
from infra.drill.points import POINTS
from infra.drill.quiet import Connection, misnamed, quiet, tail
from infra.drill.service import CRASHING, ROLES, Ended, Service, started, within
from infra.drill.stories import LAMP
from infra.drill.verdict import Line, lives_of
from infra.drill.works import LIGHT, Floor, Judge, ordered
from infra.exits import DONE, FAILED

WORKS = {**LIGHT, **HEAVY}
SETTINGS = {
    "POSTCOMMIT_LEASE_S": "2",
    "POSTCOMMIT_HEARTBEAT_S": "0.5",
    "POSTCOMMIT_GRACE_S": "2",
    "POSTCOMMIT_VIDEO_SIDES": "144",
    "POSTCOMMIT_VIDEO_PRESET": "ultrafast",
    "POSTCOMMIT_IMAGE_SIDES": "160",
}
PATIENCE_S, STRUCK_S = 60.0, 2.0
ORDERS = 3  # that the reports tell of


@dataclass(slots=True)
class Matrix:
    """What the cells have in common, and what they leave to be looked at once more at the end."""

    floor: Floor
    connection: Connection
    order: Order
    position: int = 0  # of the last fact that was looked at
    tasks: set[str] = field(default_factory=set)

    async def begin(self) -> None:
        """What is there before the first cell is nobody's."""
        await self._rest()
        await self.look()

    async def cell(self, name: str, kind: str) -> Cell:
        """Raises Ended where the service does not come to rest before it."""
        begin, point, work = time.monotonic(), POINTS[name], WORKS[kind]
        await self._rest()
        send = await work.prepare(self.floor)
        if left := await quiet(self.connection, PATIENCE_S, open=False):
            raise Ended(f"Before a crash there is still to be told: {', '.join(left[:3])}.")
        self.order.give(name)
        failed: list[str] = []
        try:
            judge = await send()
            failed += await self._judged(judge)
        except (Unanswered, TimeoutError, Ended) as error:
            failed.append(str(error) or type(error).__name__)
        reached, struck = self.order.end()
        seen = await self._seen(reached, struck)
        found = wrong(point, work, seen) + failed + await misnamed(self.connection, self.floor.service.home / "files")
        return Cell(name, kind, reached, len(seen.arrivals), round(time.monotonic() - begin, 1), tuple(found))

    async def _rest(self) -> None:
        if left := await quiet(self.connection, PATIENCE_S):
            raise Ended(f"The service does not come to rest: {', '.join(left[:3])}.")

    async def _judged(self, judge: Judge) -> list[str]:
        """Once all is quiet, the role has died and is back, and all is quiet again."""
        left = await quiet(self.connection, PATIENCE_S)
        try:
            await within(self.order.struck.exists, "the point", STRUCK_S)
        except Ended:  # then the cell says so
            return left
        await within(lambda: all(self.floor.service.pids(role) for role in ROLES), "all roles")
        found = await judge()
        return found + await quiet(self.connection, PATIENCE_S)

    async def _seen(self, reached: int, struck: Sequence[str] | None) -> Seen:
        lines = await self.look()
        tasks = lives_of(lines)
        shown = {id: await told(self.floor.client, f"/v1/tasks/{id}") for id in tasks}
        arrivals = [one for one in watch.arrivals(self.floor.service.home) if one.task in tasks]
        return Seen(lines, shown, arrivals, reached, struck)

    async def look(self) -> Sequence[Line]:
        """What the log has more than before."""
        lines = await tail(self.floor.client, self.position)
        self.position = lines[-1].position if lines else self.position
        self.tasks |= lives_of(lines).keys()
        return lines

    async def at_the_end(self) -> list[str]:
        """All of it once more: who sent a request twice may have made two tasks."""
        await self._rest()
        lives = lives_of(await watch.replay(self.floor.service))
        arrivals = watch.arrivals(self.floor.service.home)
        return phantoms(lives, self.tasks, arrivals) + await watch.broken(self.floor.service)


async def matrix(home: Path, names: Sequence[str], kinds: Sequence[str] = tuple(WORKS)) -> list[Cell]:
    """Crash at each of the points with each of the kinds that reach it."""
    async with (
        started(home, SETTINGS | {CRASHING: "1"}) as service,
        service.client("operator", 20) as client,
        service.postgres() as connection,
    ):
        table = Matrix(await _floor(service, client), connection, Order(home / "crash"))
        return await _all(table, turns(names, kinds))


def turns(names: Sequence[str], kinds: Sequence[str]) -> list[tuple[str, str]]:
    """The cells, so that no role dies all the time: what dies again and again is started ever later."""
    of_role: dict[str, list[tuple[str, str]]] = {role: [] for role in ROLES}
    for name in names:
        of_role[POINTS[name].role] += [(name, kind) for kind in POINTS[name].kinds if kind in kinds]
    placed = [((at + 0.5) / len(cells), cell) for cells in of_role.values() for at, cell in enumerate(cells)]
    return [cell for _, cell in sorted(placed, key=lambda one: one[0])]


async def _all(table: Matrix, wanted: Sequence[tuple[str, str]]) -> list[Cell]:
    cells: list[Cell] = []
    try:
        await table.begin()
        for name, kind in wanted:
            cells.append(await table.cell(name, kind))
            _say(cells[-1])
        wrong = await table.at_the_end()
    except Ended as error:
        wrong = [str(error)]
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
    parser.add_argument("--json", action="store_true", help="all of it, for programs")
    given, begin = parser.parse_args(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="postcommit-matrix-") as folder:
        cells = asyncio.run(matrix(Path(folder), given.points, given.kinds))
    good, minutes = sum(not cell.wrong for cell in cells), (time.monotonic() - begin) / 60
    if given.json:
        print(json.dumps([asdict(cell) for cell in cells], indent=2))
    print(f"{good} of {len(cells)} cells are good, in {minutes:.1f} minutes.", file=sys.stderr)
    sys.exit(DONE if good == len(cells) else FAILED)


if __name__ == "__main__":
    main()
