"""The ledger as the mirror sees it, over the simulated Postgres: the port `infra.roles.outside.Ledger`."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from domain.mirror import Line
from tests.simulation.postgres import Postgres


@dataclass
class SimulatedLedger:
    postgres: Postgres
    ask_who_leads: Callable[[], Awaitable[bool]]
    window: int = 60  # positions that a stream is filled with again, at most
    mirrored: int = 0
    _told: int = 0

    async def lines(self, after: int, limit: int) -> Sequence[Line]:
        return await self.postgres.read(lambda: self.postgres.lines[max(after, 0) : max(after + limit, 0)])

    async def head(self) -> int:
        return await self.postgres.read(lambda: len(self.postgres.lines))

    async def refill_from(self) -> int:
        return max(await self.head() - self.window + 1, 1)

    async def leads(self) -> bool:
        return await self.ask_who_leads()

    async def epoch(self) -> str:
        return await self.postgres.read(lambda: self.postgres.epochs[-1])

    async def new_epoch(self, reason: str) -> str:
        def effect() -> None:
            self.postgres.scene.note("new epoch", reason=reason)
            self.postgres.epochs.append(f"epoch-{len(self.postgres.epochs)}")

        await self.postgres.read(effect)
        return await self.epoch()

    async def reached(self, position: int) -> None:
        self.mirrored = position

    async def reached_last(self) -> int:
        return self.mirrored or await self.postgres.read(lambda: self.postgres.cursors.get("mirror", 0))

    async def tell(self, anew: bool = False) -> None:
        position = self.mirrored
        if position == self._told and not anew:
            return

        def effect() -> None:
            self.postgres.told(position)
            self.postgres.cursors["mirror"] = position

        await self.postgres.read(effect)
        self._told = position
