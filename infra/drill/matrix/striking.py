"""One service under the crash matrix: cell by cell a role of it dies, and what came of that is looked at.

A cell begins when all is quiet: so what passes at its point, but for bells that ring again, and what the log has more
at its end, is its own."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from infra.drill import findings
from infra.drill.evidence import Line, lives_of
from infra.drill.matrix.armed import Order
from infra.drill.matrix.cells import Cell, Seen, phantoms, wrong
from infra.drill.matrix.heavy_works import HEAVY
from infra.drill.matrix.insisting import Unanswered, told
from infra.drill.matrix.passing import Death
from infra.drill.matrix.points import POINTS
from infra.drill.matrix.quiet import Connection, misnamed, quiet, tail
from infra.drill.matrix.works import LIGHT, Floor, Judge
from infra.drill.service import ROLES, Ended, within

WORKS = {**LIGHT, **HEAVY}
PATIENCE_S, STRUCK_S = 180.0, 2.0  # children are nice: where others work, a film takes its time


@dataclass(slots=True)
class Striking:
    """What the cells have in common, and what they leave to be looked at once more at the end."""

    floor: Floor
    connection: Connection
    order: Order
    position: int = 0  # of the last fact that was looked at
    tasks: set[str] = field(default_factory=set)

    async def begin(self) -> None:
        """What is there before the first cell is nobody's. Raises Ended."""
        await self._rest()
        await self._look()

    async def cell(self, name: str, kind: str) -> Cell:
        """Raises Ended where the service does not come to rest before it."""
        begin, point, work = time.monotonic(), POINTS[name], WORKS[kind]
        await self._rest()
        send = await work.prepare(self.floor)
        if left := await quiet(self.connection, PATIENCE_S, open=False):
            raise Ended(f"Before a crash there is still to be told: {', '.join(left[:3])}.")
        self.order.give(name, self.tasks)
        try:
            failed = await self._judged(await send())
        except (Unanswered, TimeoutError, Ended) as error:
            failed = [str(error) or type(error).__name__]
        reached, struck = self.order.end()
        seen = await self._seen(reached, struck)
        failed += wrong(point, work, seen) + await misnamed(self.connection, self.floor.service.home / "files")
        return Cell(name, kind, reached, len(seen.arrivals), round(time.monotonic() - begin, 1), tuple(failed))

    async def at_the_end(self) -> list[str]:
        """All of it once more: who sent a request twice may have made two tasks. Raises Ended."""
        await self._rest()
        service = self.floor.service
        lives, arrivals = lives_of(await findings.replay(service)), findings.arrivals(service.home)
        return phantoms(lives, self.tasks, arrivals) + await findings.broken(service)

    async def _rest(self) -> None:
        if left := await quiet(self.connection, PATIENCE_S):
            raise Ended(f"The service does not come to rest: {', '.join(left[:3])}.")

    async def _judged(self, judge: Judge) -> list[str]:
        """Once all is quiet, the role has died and is back, and all is quiet again."""
        left = await quiet(self.connection, PATIENCE_S)
        try:
            await within(self.order.struck.exists, "the point", STRUCK_S)
        except Ended:  # the cell says so
            return left
        await within(lambda: all(self.floor.service.pids(role) for role in ROLES), "all roles")
        found = await judge()
        return found + await quiet(self.connection, PATIENCE_S)

    async def _seen(self, reached: int, struck: Death | None) -> Seen:
        lines = await self._look()
        tasks = lives_of(lines)
        shown = {id: await told(self.floor.client, f"/v1/tasks/{id}") for id in tasks}
        arrivals = [one for one in findings.arrivals(self.floor.service.home) if one.task in tasks]
        return Seen(lines, shown, arrivals, reached, struck)

    async def _look(self) -> Sequence[Line]:
        """What the log has more than before."""
        lines = await tail(self.floor.client, self.position)
        self.position = lines[-1].position if lines else self.position
        self.tasks |= lives_of(lines).keys()
        return lines
