"""What every route has at hand: the ports, and the watches that all requests of this process share."""

from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

from litestar import Request
from litestar.datastructures import State

from adapters.http.problems import Problem
from adapters.http.service import Service
from adapters.http.watch import Watch
from domain.access import Key
from domain.views import Glance, Seen

Call: TypeAlias = Request[Key, Any, State]


@dataclass(frozen=True, slots=True)
class Desk:
    service: Service
    tasks: Watch[UUID, Glance]
    positions: Watch[UUID, int]
    cursors: Watch[str, int]

    def stop(self) -> None:
        """Readiness ends, and with it every stream and every long poll."""
        self.service.stopping.set()
        for watch in (self.tasks, self.positions, self.cursors):
            watch.stop()


def desk_for(service: Service) -> Desk:
    queries = service.queries
    return Desk(service, Watch(queries.glance), Watch(queries.positions), Watch(queries.cursors))


def desk(call: Request[Any, Any, State]) -> Desk:
    found: Desk = call.app.state.desk
    return found


async def find_task(call: Call, id: UUID) -> Seen:
    """The task, if there is one that this key may know of. Raises Problem."""
    seen = await desk(call).service.queries.task(id)
    if seen is None or not call.user.sees(seen.task.by):
        raise Problem("not-found", f"There is no task {id}.")
    return seen
