"""The ledger as the mirror sees it."""

from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy import func, select, text

from adapters.postgres import codec
from adapters.postgres.database import Database
from adapters.postgres.ledger import epoch, head
from adapters.postgres.tables import cursors
from domain.mirror import Line, Stored


class MirroredLedger:
    """The port `domain.mirror.Ledger`. `line` makes a message of a fact and the epoch; `leads` asks who leads."""

    def __init__(
        self,
        database: Database,
        cursor: Database,
        line: Callable[[Stored, str], Line],
        leads: Callable[[], Awaitable[bool]],
        refill: int,
    ) -> None:
        self._database, self._cursor = database, cursor
        self._reached: int | None = None
        self._told: int | None = None
        self._epoch: str | None = None
        self._line, self._leads, self._refill = line, leads, refill

    async def lines(self, after: int, limit: int) -> Sequence[Line]:
        epoch = self._epoch or await self.epoch()
        return [self._line(codec.stored(row), epoch) for row in await self._database.fetch("read_ledger", after, limit)]

    async def head(self) -> int:
        return await head(self._database)

    async def refill_from(self) -> int:
        """The latest `refill` positions; for older tasks that still wait the lifeline rings."""
        return max(await self.head() - self._refill + 1, 1)

    async def leads(self) -> bool:
        return await self._leads()

    async def epoch(self) -> str:
        self._epoch = await epoch(self._database)
        return self._epoch

    async def new_epoch(self, reason: str) -> str:
        async with self._database.core() as connection:
            query = text("INSERT INTO postcommit.epochs (id, position, reason) VALUES (uuidv7(), :position, :reason)")
            await connection.execute(query, {"position": await self.head(), "reason": reason})
        return await self.epoch()

    async def reached(self, position: int) -> None:
        """Remembered here, and written by `tell`: the stream itself knows better where it stands."""
        self._reached = position

    async def reached_last(self) -> int:
        """The position reached last; before any was, the one that another relay has told."""
        if self._reached is not None:
            return self._reached
        async with self._database.core() as connection:
            return int(await connection.scalar(select(cursors.c.position).where(cursors.c.name == "mirror")) or 0)

    @property
    def mirrored(self) -> int:
        """Up to here the stream holds what the ledger holds; 0 where that is not known yet."""
        return self._reached or 0

    async def tell(self, anew: bool = False) -> None:
        """Write the position reached: where it is another than was told before, or in any case."""
        position = self._reached
        if position is None or (position == self._told and not anew):
            return
        async with self._cursor.core() as connection:
            query = cursors.update().where(cursors.c.name == "mirror", cursors.c.position != position)
            await connection.execute(query.values(position=position, at=func.clock_timestamp()))
        self._told = position
