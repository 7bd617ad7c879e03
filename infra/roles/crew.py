"""The crew of one worker process: hears of tasks, and claims as many as it has free slots for.

    bell (JetStream, core NATS or a poll) ──▶ claim ──▶ acknowledge the bell ──▶ run ──▶ finish
                                                               │
                                                    heartbeat ─┘ extends the lease, brings progress, hears of cancelling

A bell is only an id: the row in Postgres decides. What was claimed goes over to `runs`."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from uuid import UUID

import structlog

from adapters.nats.fetch import Bell
from domain.holding import behind
from infra.roles.runs import Runs

logger = structlog.get_logger()
SHARED = 4  # a poll looks at so many times as much as it may take
POLL_S, POLL_AGAIN_S = 1.0, 0.02  # between two looks into the table: while there is nothing, while there is something
FEW = 4  # tasks that a claim of their own is worth
MOST_KNOWN = 10_000  # claims of the past that are remembered


@dataclass(slots=True)
class Crew:
    """Claims for `runs`, from these queues, at most `slots` tasks at once."""

    runs: Runs
    queues: Sequence[str]
    acknowledge: Callable[[Sequence[Bell]], Awaitable[None]]
    slots: int = 16
    unheard_s: float = 5.0
    heard: OrderedDict[UUID, list[Bell]] = field(default_factory=OrderedDict)
    stopping: bool = False
    _late: list[Bell] = field(default_factory=list)  # of tasks that were claimed before these came
    _known: OrderedDict[UUID, int] = field(default_factory=OrderedDict)  # the versions that claims have made
    _asked: int = 0  # tasks that claims under way may bring
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _room: asyncio.Event = field(default_factory=asyncio.Event)
    _heard_at: float = 0.0
    _claiming: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.runs.freed = self._freed
        self._room.set()

    def _freed(self) -> None:
        self._room.set()
        self._news.set()

    # Hearing.

    def hear(self, bells: Sequence[Bell]) -> None:
        """Bells of the durable: each is acknowledged after the claim that it led to has committed. Where a direct bell
        was faster, it leads to no other."""
        for bell in bells:
            if bell.version < self._known.get(bell.task, 0):
                self._late.append(bell)
            else:
                self.heard.setdefault(bell.task, []).append(bell)
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
        return self._open - len(self.heard)

    @property
    def _open(self) -> int:
        """Slots that neither a running task fills nor a claim that is under way."""
        return 0 if self.stopping else self.slots - len(self.runs.held) - self._asked

    async def wanted(self) -> int:
        """How many bells one queue may ask for, so that all queues together ask for the free slots; waits for one."""
        while self.free <= 0:
            self._room.clear()
            await self._room.wait()
        return max(self.free // len(self.queues), 1)

    # Claiming.

    async def claim_loop(self) -> None:
        """Until the worker stops: claim what was heard, as slots come free. Several such loops may run: what is heard
        while one waits for Postgres is claimed by the next."""
        while not self.stopping:
            await self._news.wait()
            self._news.clear()
            while self._late or self._may_claim():
                claiming = asyncio.create_task(self._claim(self._taken()))
                self._claiming.add(claiming)
                claiming.add_done_callback(self._claiming.discard)
                await asyncio.shield(claiming)  # what was claimed is held, also by a worker that is to stop

    def _may_claim(self) -> bool:
        """A few need not wait for a claim that is under way; many gather, and go out together when it has ended."""
        ready = min(len(self.heard), self._open)
        return ready > 0 and (ready <= FEW or not self._claiming)

    def _taken(self) -> Mapping[UUID, list[Bell]]:
        """What was heard, as much as there are slots for."""
        taken = {id: self.heard.pop(id) for id in list(islice(self.heard, max(self._open, 0)))}
        self._asked += len(taken)
        return taken

    async def _claim(self, taken: Mapping[UUID, list[Bell]]) -> None:
        runs, done = self.runs, self._late
        self._late = []
        facts = [runs.clock.new_id() for _ in taken]
        kinds, now = list(runs.workers), runs.clock.now()
        try:
            held = await runs.tasks.claim(list(taken), facts, runs.name, kinds, runs.lease_s, now) if taken else []
        except runs.transient as error:  # no acknowledgement: the bells come again
            logger.warning("worker.claim_failed", error=str(error))
            self._room.set()
            await runs.clock.sleep(0.5)
            return
        finally:
            self._asked -= len(taken)
        answered = runs.clock.now()
        for one in held:
            self._known[one.id] = one.task.version
            runs.begin(one, behind(one, now, answered))
        for _ in range(len(self._known) - MOST_KNOWN):
            self._known.popitem(last=False)
        if held:
            runs.written()
        self._room.set()
        if done := [*done, *(bell for bells in taken.values() for bell in bells)]:
            await self._acknowledge(done)

    async def _acknowledge(self, bells: Sequence[Bell]) -> None:
        try:
            await self.acknowledge(bells)
        except Exception as error:  # they come again, and claim nothing
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
        if self._claiming:
            await asyncio.wait(self._claiming)
        self.heard.clear()
        self._news.set()
        await self.runs.stop()
