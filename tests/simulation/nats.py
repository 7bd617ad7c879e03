"""A process's connection to the simulated NATS: the ports that relay, worker and reader take, and bells."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from adapters.nats.api import ApiError, NoAnswer
from adapters.nats.fetch import Bell
from domain.mirror import Line, State
from infra.roles.crew import Crew
from tests.simulation.bus import Bus, silent
from tests.simulation.loop import PROCESS, Process

PAUSE_S = 1.0


@dataclass
class Switchboard:
    """Who listens to which bell."""

    bus: Bus
    heard: dict[str, list[tuple[Process, Callable[[bytes], None]]]] = field(default_factory=dict)

    def ring(self, subject: str, payload: bytes) -> None:
        """Core NATS: a bell may be lost, come twice, and overtake another."""
        scene = self.bus.scene
        listening = self.heard[subject] = [one for one in self.heard.get(subject, ()) if one[0].alive]
        for process, hear in listening:
            for _ in range(0 if scene.strikes(0.1) else 2 if scene.strikes(0.05) else 1):
                scene.loop.call_later(scene.pause(), hear, payload, context=process.context)


@dataclass
class Link:
    """As adapters.nats.broker.Link; also the port `infra.roles.outside.Nats`."""

    bus: Bus
    board: Switchboard

    @property
    def up(self) -> bool:
        return self.bus.up

    def on_bell(self, subject: str, hear: Callable[[bytes], None]) -> None:
        self.board.heard.setdefault(subject, []).append((PROCESS.get(), hear))

    async def ring(self, subject: str, payload: bytes = b"") -> None:
        if self.up:
            self.board.ring(subject, payload)

    def ring_soon(self, subject: str) -> None:
        if self.up:
            self.bus.scene.loop.later(self.bus.scene.pause(), self.board.ring, subject, b"")

    def stream(self) -> "SimulatedStream":
        return SimulatedStream(self.bus)

    async def delivered(self, queue: str) -> int | None:
        return await self.bus.ask(partial(self.bus.delivered, queue))

    async def ensure(self, queue: str, start: Callable[[], Awaitable[int]], anew: bool = False) -> bool:
        """As adapters.nats.consumers."""
        if anew:
            await self.bus.ask(partial(self.bus.drop, queue))
        if await self.bus.ask(partial(self.bus.has, queue)):
            return False
        return await self.bus.ask(partial(self.bus.ensure, queue, max(await start(), 1)))

    async def keep(self, first: int, mirrored: int, head: int) -> None:
        """There are no registered consumers here."""

    async def acknowledge(self, bells: Sequence[Bell]) -> None:
        """Sent, and not answered; each may be lost."""
        scene = self.bus.scene
        if not self.up:
            raise silent()
        for bell in bells:
            if not scene.strikes(scene.weather.before):
                scene.loop.later(scene.pause(), self.bus.acknowledge, bell)

    async def fetch(self, queue: str, crew: Crew) -> None:
        """As adapters.nats.fetch.Fetcher: asks for as many bells as there are free slots, and hands them on."""
        while True:
            most = await crew.wanted()
            try:
                if bells := await self.bus.fetch(queue, most):
                    crew.hear(bells)
            except (ApiError, NoAnswer):
                await crew.runs.clock.sleep(PAUSE_S)


@dataclass
class SimulatedStream:
    """The port `infra.roles.outside.Stream`."""

    bus: Bus

    async def state(self) -> State | None:
        return await self.bus.ask(self.bus.state)

    async def id_at(self, position: int) -> str | None:
        return await self.bus.ask(partial(self.bus.id_at, position))

    async def create(self, first: int, epoch: str) -> None:
        await self.bus.ask(partial(self.bus.create, first, epoch))

    async def delete(self) -> None:
        await self.bus.ask(self.bus.delete)

    async def publish(self, lines: Sequence[Line], last: int) -> None:
        await self.bus.ask(partial(self.bus.publish, lines, last))

    async def bring_up_to_date(self) -> bool:
        return False
