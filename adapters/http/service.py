"""What the REST API needs of the rest of the program: ports, which infra connects."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import NamedTuple, Protocol
from uuid import UUID

from domain import audit, search
from domain.access import Key
from domain.charts import Figure
from domain.file import File, Files, Uploads
from domain.kind import AnyKind
from domain.log import Answer, Log, Recorded
from domain.task import Task
from domain.views import Balance, Gauge, Glance, Line, Seen, Wanted


class Queries(Protocol):
    """Questions; none of them changes anything."""

    async def task(self, id: UUID) -> Seen | None: ...

    async def seen(self, ids: Sequence[UUID]) -> Sequence[Seen]:
        """Those of the tasks that exist."""

    async def chain(self, id: UUID, most: int) -> dict[UUID, Task]:
        """The task, and whatever needs it, directly or through others; at most so many."""

    async def last_retries(self, ids: Sequence[UUID]) -> Sequence[tuple[UUID, Task]]:
        """Each of the tasks as it was retried last, in their order."""

    async def things(
        self, created: str, owner: str | None, after: UUID | None, limit: int
    ) -> Sequence[Sequence[Recorded]]:
        """The streams that begin with a fact of this name (and of this actor), newest first, behind one of them that is
        named by its first fact."""

    async def glance(self, ids: Sequence[UUID]) -> Mapping[UUID, Glance]: ...

    async def tasks(self, wanted: Wanted) -> tuple[Sequence[Seen], bool]:
        """The tasks, fewer than `wanted.limit` where they are large; and whether others follow."""

    async def events(self, after: int, limit: int) -> Sequence[Line]:
        """The next facts, fewer than `limit` where they are large; none only where there are none."""

    async def epoch(self) -> UUID: ...

    async def positions(self, ids: Sequence[UUID]) -> Mapping[UUID, int]:
        """Where events are in the log: 0 for one without a position as yet; unknown ids are missing."""

    async def cursors(self, names: Sequence[str]) -> Mapping[str, int]:
        """How far readers are; HEAD is always told, whoever is asked for."""

    async def audit(self, wanted: audit.Wanted) -> Sequence[audit.Line]: ...

    async def figures(
        self, per: str, first: datetime, last: datetime, kind: str | None
    ) -> tuple[int, Sequence[Figure]]:
        """The reader's position, and the sums of the buckets that begin from `first` to `last`, and of all of them."""

    async def found(self, wanted: search.Wanted) -> Sequence[search.Found]:
        """What these words find, the best first."""

    async def balance(self) -> Balance: ...

    async def gauges(self, queues: Sequence[str]) -> Sequence[Gauge]:
        """Numbers of the database as it is now, and of these queues; no question among them reads many rows."""

    async def announced(self, owner: str, since: datetime, until: UUID | None) -> int:
        """The bytes of all uploads that this key announced since then; before that of `until`, if one is named."""

    async def answer(self, holder: str, route: str, key: str) -> tuple[bytes, Answer] | None:
        """The fingerprint and the first answer under an idempotency key."""


class Coming(NamedTuple):
    """A request that brings bytes: whose it is, and how many of them no fact has announced."""

    holder: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Where files come in and are kept, and how much of them."""

    uploads: Uploads
    files: Files
    touch: Callable[[Sequence[File]], Awaitable[None]]  # before files get their names, so that none goes meanwhile
    most_bytes: int  # of one upload
    most_bytes_a_day: int  # that one key may announce within 24 hours
    most_at_once: int  # requests that bring bytes: each holds some of them in memory
    patience: timedelta  # an upload expires when no byte came for so long
    public: str  # the address of this API as others know it; empty: as the request says
    under_way: dict[UUID, Coming] = field(default_factory=dict)  # requests that bring bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    log: Log
    queries: Queries
    find_key: Callable[[bytes], Awaitable[Key | None]]  # by the SHA-256 of its secret
    find_signer: Callable[[str], Awaitable[tuple[Key, Sequence[bytes]] | None]]  # by its name, with the hashes
    kinds: Mapping[str, AnyKind]
    ring: Callable[[Mapping[str, list[UUID]]], None]  # what was written, by queue; neither waits nor raises
    checks: Mapping[str, Callable[[], Awaitable[bool]]]  # for /readyz, by name
    now: Callable[[], datetime]  # UTC
    new_id: Callable[[], UUID]  # UUIDv7
    problems: Mapping[type[Exception], str] = field(default_factory=dict)  # more exceptions -> slug of their problem
    trusted: tuple[IPv4Network | IPv6Network, ...] = ()  # proxies whose X-Forwarded-For is believed
    mail: Path | None = None  # the folder of the mail sink, where there is one
    notices: Path | None = None  # the folder of the webhook sink, where there is one
    intake: Intake | None = None  # where there is a store
    private_webhooks: bool = False  # whether a webhook may go to a private network, or by http
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    offered: Mapping[str, AnyKind] = field(init=False)  # the kinds that may be asked for by name

    def __post_init__(self) -> None:
        object.__setattr__(self, "offered", {name: kind for name, kind in self.kinds.items() if not kind.internal})
