"""What the relay has around it: Postgres and NATS, as far as it needs them. A simulation hands it others."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from adapters.nats import consumers
from adapters.nats.bells import Rope
from adapters.nats.broker import Link
from adapters.nats.names import durable
from adapters.nats.stream import Limits, LogStream, line
from adapters.postgres.database import Database
from adapters.postgres.leadership import Leadership
from adapters.postgres.mirror import MirroredLedger
from adapters.postgres.tasks import PostgresTasks
from domain import mirror
from domain.holding import Tasks
from infra.roles.keeper import Keeper
from infra.settings import Settings


class Rows(Tasks, Protocol):
    async def oldest_queued(self, queue: str) -> int | None:
        """The position of the oldest fact that made a task of the queue queued which still is; None where none is."""


class Ledger(mirror.Ledger, Protocol):
    @property
    def mirrored(self) -> int:
        """Up to here the stream holds what the ledger holds; 0 where that is not known yet."""

    async def tell(self, anew: bool = False) -> None:
        """Write the position reached: where it is another than was told before, or in any case."""


class Postgres(Protocol):
    rows: Rows

    async def session(self) -> Leadership:
        """A session of its own, which may lead. Raises Unavailable."""

    def ledger(self, leads: Callable[[], Awaitable[bool]]) -> Ledger:
        """The ledger as the mirror sees it; `leads` asks who leads."""

    async def forget(self) -> int:
        """Forget idempotency keys after seven days; answers how many these were."""


class Stream(mirror.Bus, Protocol):
    async def bring_up_to_date(self) -> bool:
        """Give a stream that is there the settings of today; answers whether they were others."""


class Nats(Rope, Protocol):
    @property
    def up(self) -> bool:
        """Whether there is a connection just now; the rest only then."""

    def stream(self) -> Stream: ...

    async def delivered(self, queue: str) -> int | None:
        """The position up to which the queue's consumer has delivered; None where there is no such consumer."""

    async def ensure(self, queue: str, start: Callable[[], Awaitable[int]], anew: bool = False) -> bool:
        """Make the queue's durable where there is none, or one that went back, or in any case, from `start` on; answers
        whether it was made."""

    async def keep(self, first: int, mirrored: int, head: int) -> None:
        """Do the same for registered consumers; see infra.roles.keeper."""


@dataclass(slots=True)
class ThePostgres:
    settings: Settings
    database: Database
    cursor: Database  # for the mirror's cursor, which the stream itself knows better
    rows: Rows

    async def session(self) -> Leadership:
        return await Leadership.open(self.settings.postgres)

    def ledger(self, leads: Callable[[], Awaitable[bool]]) -> MirroredLedger:
        message = partial(line, public_url=self.settings.public)
        return MirroredLedger(self.database, self.cursor, message, leads, self.settings.refill)

    async def forget(self) -> int:
        return len(await self.database.fetch("forget_keys"))


@dataclass(slots=True)
class TheNats:
    settings: Settings
    link: Link
    keeper: Keeper
    _furthest: dict[str, int] = field(default_factory=dict)  # that each queue's durable was seen at

    @property
    def up(self) -> bool:
        return self.link.up

    async def ring(self, subject: str, payload: bytes = b"") -> None:
        await self.link.ring(subject, payload)

    def stream(self) -> LogStream:
        given = self.settings
        limits = Limits(given.nats_max_bytes, given.nats_max_age_s, given.nats_replicas)
        return LogStream(self.link.client, limits)

    async def delivered(self, queue: str) -> int | None:
        position = await consumers.delivered(self.link.client, queue)
        self._furthest[queue] = max(self._furthest.get(queue, 0), position or 0)
        return position

    async def ensure(self, queue: str, start: Callable[[], Awaitable[int]], anew: bool = False) -> bool:
        if anew:
            await consumers.drop(self.link.client, durable(queue))
        made = await consumers.ensure(self.link.client, queue, start, self._furthest.get(queue, 0))
        if made:
            self._furthest.pop(queue, None)
        return made

    async def keep(self, first: int, mirrored: int, head: int) -> None:
        await self.keeper.keep(self.link.client, first, mirrored, head)


def the_postgres(settings: Settings, database: Database, cursor: Database) -> ThePostgres:
    return ThePostgres(settings, database, cursor, PostgresTasks(database))


def the_nats(settings: Settings, link: Link, database: Database) -> TheNats:
    return TheNats(settings, link, Keeper(database))
