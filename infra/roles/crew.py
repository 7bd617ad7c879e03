"""The crew of one worker process: hears of tasks, and claims as many as it has free slots for.

    bell (JetStream, core NATS or a poll) ──▶ claim ──▶ acknowledge the bell ──▶ run ──▶ finish
                                                               │
                                                    heartbeat ─┘ extends the lease, brings progress, hears of cancelling

A bell is only an id: the row in Postgres decides. What was claimed goes over to `runs`."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from infra.roles.runs import Runs

logger = structlog.get_logger()
Ack = Callable[[], Awaitable[None]]
SHARED = 4  # a poll looks at so many times as much as it may take
POLL_S, POLL_AGAIN_S = 1.0, 0.02  # between two looks into the table: while there is nothing, while there is something


@dataclass(slots=True)
class Crew:
    """Claims for `runs`, from these queues, at most `slots` tasks at once."""

    runs: Runs
    queues: Sequence[str]
    slots: int = 16
    unheard_s: float = 5.0
    heard: OrderedDict[UUID, list[Ack]] = field(default_factory=OrderedDict)
    stopping: bool = False
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _room: asyncio.Event = field(default_factory=asyncio.Event)
    _heard_at: float = 0.0
    _claiming: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.runs.freed = self._freed
        self._room.set()

    def _freed(self) -> None:
        self._room.set()
        self._news.set()

    # Hearing.

    def hear(self, bells: Sequence[tuple[UUID, Ack]]) -> None:
        """Bells of the durable: each is acknowledged after the claim that it led to has committed."""
        for id, ack in bells:
            self.heard.setdefault(id, []).append(ack)
        self._heard_at = self.runs.clock.monotonic()
        self._news.set()

    def overhear(self, ids: Sequence[UUID]) -> None:
        """Bells without a promise: only as many as there is room for now. They do not stop the worker from polling."""
        self._note(ids)

    def _note(self, ids: Sequence[UUID]) -> None:
        for id in ids[: max(self.free, 0)]:
            self.heard.setdefault(id, [])
        self._news.set()

    @property
    def free(self) -> int:
        """Slots that neither a running task nor a bell fills."""
        return 0 if self.stopping else self.slots - len(self.runs.held) - len(self.heard)

    async def wanted(self) -> int:
        """How many bells one queue may ask for, so that all queues together ask for the free slots; waits for one."""
        while self.free <= 0:
            self._room.clear()
            await self._room.wait()
        return max(self.free // len(self.queues), 1)

    # Claiming.

    async def claim_loop(self) -> None:
        """Until the worker stops: claim what was heard, as slots come free."""
        while not self.stopping:
            await self._news.wait()
            self._news.clear()
            while self.heard and len(self.runs.held) < self.slots and not self.stopping:
                self._claiming = asyncio.create_task(self._claim_some())
                await asyncio.shield(self._claiming)  # what was claimed is held, also by a worker that is to stop

    async def _claim_some(self) -> None:
        runs = self.runs
        ids = list(self.heard)[: self.slots - len(runs.held)]
        facts = [runs.clock.new_id() for _ in ids]
        try:
            held = await runs.tasks.claim(ids, facts, runs.name, list(runs.workers), runs.lease_s, runs.clock.now())
        except runs.transient as error:
            for id in ids:  # no acknowledgement: the bells come again
                self.heard.pop(id, None)
            self._room.set()
            logger.warning("worker.claim_failed", error=str(error))
            await runs.clock.sleep(0.5)
            return
        acks = [ack for id in ids for ack in self.heard.pop(id, [])]
        for one in held:
            runs.begin(one)
        if held:
            runs.written()
        self._room.set()
        await asyncio.gather(*(self._acknowledge(ack) for ack in acks))

    async def _acknowledge(self, ack: Ack) -> None:
        try:
            await ack()
        except Exception as error:  # the bell comes again, and claims nothing
            logger.info("worker.ack_lost", error=str(error))

    async def poll_loop(self) -> None:
        """Look into the table when no bell was heard for a while: NATS may be away, and work goes on."""
        while not self.stopping:
            found = await self._poll() if self._quiet() and self.free > 0 else 0
            await self.runs.clock.sleep(POLL_AGAIN_S if found else POLL_S)

    def _quiet(self) -> bool:
        return self.runs.clock.monotonic() - self._heard_at >= self.unheard_s

    async def _poll(self) -> int:
        try:
            ids = await self.runs.tasks.queued(self.queues, list(self.runs.workers), self.free * SHARED)
        except self.runs.transient as error:
            logger.warning("worker.poll_failed", error=str(error))
            return 0
        ids.sort(key=lambda _: self.runs.clock.chance())  # other workers poll, too: not all want the same
        self._note([id for id in ids if id not in self.runs.held])
        return len(ids)

    async def stop(self) -> None:
        """No new claims; what runs gets its grace; the rest is given back at once."""
        self.stopping = True
        if self._claiming is not None:
            await asyncio.wait([self._claiming])
        self.heard.clear()
        self._news.set()
        await self.runs.stop()
