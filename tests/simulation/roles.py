"""The processes: the real roles, wired to what is simulated as their `serve` wires them to real servers."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID

from adapters.nats.bells import ids_of
from adapters.nats.names import HEAD_BELL, LOG_BELL, queue_bell
from adapters.postgres.database import TRANSIENT, UNSTORABLE
from adapters.postgres.leadership import Leadership
from adapters.workers.probe import probe
from domain.job import Worker
from domain.log import Recorded
from domain.probe import KIND
from infra.clock import Clock
from infra.loops import together
from infra.roles import outside
from infra.roles.crew import Crew
from infra.roles.reader import SOON_S, read, release
from infra.roles.relay import Relay
from infra.roles.role import until_stopped
from infra.roles.runs import Runs
from infra.roles.worker import beats_of, leave, work
from infra.settings import Settings
from tests.making import NOON
from tests.simulation import transaction
from tests.simulation.ledger import SimulatedLedger
from tests.simulation.nats import Link
from tests.simulation.postgres import Postgres
from tests.simulation.rows import Rows
from tests.simulation.session import open_session
from tests.simulation.transaction import Apply, Transaction, folding
from tests.simulation.wire import Scene

SETTINGS = replace(Settings(), lease_s=2.0, heartbeat_s=0.7, unheard_s=1.5, grace_s=0.5, slots=3)
QUEUE = KIND.queue
FOLD, RELEASE = "balance", "release"


@dataclass
class Outside:
    """What every process finds."""

    scene: Scene
    postgres: Postgres
    link: Link
    ids: "count[int]"

    def clock(self, wrong_s: float) -> Clock:
        loop, random = self.scene.loop, self.scene.random
        return Clock(
            now=lambda: NOON + timedelta(seconds=loop.now + wrong_s),
            monotonic=loop.time,
            new_id=lambda: UUID(int=next(self.ids)),
            chance=random.random,
        )


@dataclass
class RelaysPostgres:
    """The port `infra.roles.outside.Postgres`."""

    postgres: Postgres
    rows: outside.Rows

    async def session(self) -> Leadership:
        return await open_session(self.postgres)

    def ledger(self, leads: Callable[[], Awaitable[bool]]) -> SimulatedLedger:
        return SimulatedLedger(self.postgres, leads)

    async def forget(self) -> int:
        return 0


def relay(around: Outside, name: str, wrong_s: float) -> Coroutine[Any, Any, None]:
    link, postgres = around.link, RelaysPostgres(around.postgres, Rows(around.postgres))
    role = Relay(SETTINGS, postgres, link, around.clock(wrong_s), [QUEUE])
    link.on_bell(LOG_BELL, lambda _: role.written.set())
    return until_stopped(role.run())


async def worker(around: Outside, name: str, wrong_s: float) -> None:
    link = around.link
    runs = Runs(
        name,
        Rows(around.postgres),
        Rows(around.postgres),
        {KIND.name: Worker(KIND, probe)},
        around.clock(wrong_s),
        TRANSIENT,
        UNSTORABLE,
        lease_s=SETTINGS.lease_s,
        heartbeat_s=SETTINGS.heartbeat_s,
        grace_s=SETTINGS.grace_s,
        written=lambda: link.ring_soon(LOG_BELL),
    )
    crews = [Crew(runs, [QUEUE], link.acknowledge, SETTINGS.slots, SETTINGS.unheard_s)]
    link.on_bell(queue_bell(QUEUE), lambda payload: crews[0].overhear(ids_of(payload)))
    beating = beats_of(crews)
    try:
        await until_stopped(work(crews, beating, link.fetch))
    finally:
        await leave(crews, beating)


def reader(around: Outside, name: str, wrong_s: float) -> Coroutine[Any, Any, None]:
    clock, postgres, bells = around.clock(wrong_s), around.postgres, (asyncio.Event(), asyncio.Event())

    def ring(_: bytes) -> None:
        for bell in bells:
            bell.set()

    async def releasing(free: Callable[[Transaction, Sequence[Recorded]], Awaitable[None]]) -> int:
        async def apply(within: Transaction, recorded: Sequence[Recorded]) -> None:
            await free(within, recorded)
            await folding(within, recorded)

        return await stepping(RELEASE, apply)

    async def stepping(reader: str, apply: Apply) -> int:
        return await transaction.step(postgres, reader, apply)

    around.link.on_bell(HEAD_BELL, ring)
    return until_stopped(
        together(
            read(FOLD, partial(stepping, FOLD, folding), bells[0], clock, TRANSIENT),
            read(RELEASE, partial(release, releasing, around.link, clock), bells[1], clock, TRANSIENT, SOON_S),
        )
    )


ROLES: dict[str, Callable[[Outside, str, float], Coroutine[Any, Any, None]]] = {
    "relay": relay,
    "worker": worker,
    "reader": reader,
}


async def play(around: Outside, role: str, name: str, wrong_s: float) -> None:
    """To be started in a process of its own."""
    await ROLES[role](around, name, wrong_s)
