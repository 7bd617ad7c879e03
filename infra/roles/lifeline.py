"""The lifeline: every second it queues again what lost its holder, dispatches what is due, and rings again for what
nobody heard of. It alone can drive every open task when NATS was wiped.

A bell is never a fact. After it was late itself (a long pause, a reconnect, an election) every lease looks expired:
then it waits for one full lease, so that the heartbeats come first."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import structlog

from domain import compose, task
from domain.holding import Change, Tasks
from domain.log import Meta
from domain.task import Task
from infra import metrics
from infra.clock import Clock
from infra.roles.bells import Bells, Heard

logger = structlog.get_logger()
MOST = 500  # tasks of one sort in one tick
ACTOR = "lifeline"
TICK_S = 1.0
LATE_S = 3.0  # a tick so late means that the clock or this process stood still


@dataclass(slots=True)
class Lifeline:
    tasks: Tasks
    clock: Clock
    ring: Callable[[str, Sequence[UUID]], Awaitable[None]]  # (queue, tasks)
    heard: Callable[[], Awaitable[Heard | None]]  # None: NATS is away
    written: Callable[[], None]
    away: tuple[type[Exception], ...]  # errors after which it is not known how long nothing was heard
    lease_s: float = 10.0
    unheard_s: float = 5.0
    _grace_until: float = field(default=0.0)
    _ticked: float = field(default=0.0)
    _offset: float | None = field(default=None)  # the database's clock against ours, s
    _looked: datetime | None = None  # when it was last asked what is due
    _moved: bool = False  # whether anything of it was queued
    _bells: Bells = field(init=False)

    def __post_init__(self) -> None:
        self._bells = Bells(self.tasks, self.unheard_s)

    async def run(self) -> None:
        """Tick until cancelled."""
        self.grace()
        while True:
            try:
                await self.tick()
            except self.away as error:
                logger.warning("lifeline.failed", error=str(error))
                self.grace()
            await self.clock.sleep(await self._pause())

    def grace(self) -> None:
        """Something stood still: give the heartbeats one full lease before any lease counts as expired."""
        self._ticked = self.clock.monotonic()
        self._grace_until = self._ticked + self.lease_s

    async def tick(self) -> None:
        now = self.clock.monotonic()
        if now - self._ticked > TICK_S + LATE_S:
            logger.warning("lifeline.late", seconds=round(now - self._ticked, 1))
            self.grace()
        await self._step(self._compare_clocks)
        await self._step(self._dispatch)
        if now >= self._grace_until:
            await self._step(self._rescue)
        await self._step(lambda: self._ring_again(now))
        self._ticked = self.clock.monotonic()  # its own slow queries do not make it late

    async def _step(self, step: Callable[[], Awaitable[None]]) -> None:
        """An error that nobody foresaw ends neither the other steps nor the numbering and the mirror beside them."""
        try:
            await step()
        except self.away:
            raise
        except Exception as error:
            logger.error("lifeline.failed", exc_info=error)

    async def _compare_clocks(self) -> None:
        """The database's clock decides on leases and on what is due: where it jumped, leases are not to be believed."""
        offset = (await self.tasks.clock()).timestamp() - self.clock.monotonic()
        if self._offset is not None and abs(offset - self._offset) > LATE_S:
            logger.warning("lifeline.clock_jumped", seconds=round(offset - self._offset, 1))
            self.grace()
        self._offset = offset

    def _database_now(self) -> datetime:
        """The one clock that all share, as it was last compared: by it workers say when to try again."""
        if self._offset is None:
            return self.clock.now()
        return datetime.fromtimestamp(self._offset + self.clock.monotonic(), UTC)

    async def _dispatch(self) -> None:
        """Queue what is due."""
        now = self._database_now()
        self._looked, self._moved = now, False
        found = await self.tasks.due(now, MOST)
        self._moved = bool(await self._write([(id, state, task.dispatch(state, now)) for id, state in found]))

    async def _rescue(self) -> None:
        """Queue again what lost its holder, or end it."""
        found = await self.tasks.expired(MOST)
        for id, state in found:
            logger.warning("lifeline.rescue", task=str(id), worker=state.worker, attempt=state.attempt)
        rescued = await self._write([(id, state, task.rescue(state, state.turn)) for id, state in found], expired=True)
        metrics.RESCUED.inc(len(rescued))

    async def _write(self, decided: Sequence[tuple[UUID, Task, list[task.Event]]], expired: bool = False) -> set[UUID]:
        changes = []
        for id, state, events in decided:
            if events:
                facts, after = compose.of_task(
                    id, state, events, Meta(actor=ACTOR), self.clock.now(), self.clock.new_id
                )
                changes.append(Change(id, after, facts, version=state.version, expired=expired))
        settled = await self._settle(changes) if changes else set()
        if settled:
            self.written()
        queued: dict[str, list[UUID]] = {}
        for change in changes:
            if change.id in settled and change.after.status is task.Status.QUEUED:
                queued.setdefault(change.after.queue, []).append(change.id)
        for queue, ids in queued.items():
            await self.ring(queue, ids)
        return settled

    async def _settle(self, changes: Sequence[Change]) -> set[UUID]:
        """What is refused is halved until only the change stands alone that is at fault."""
        try:
            return await self.tasks.settle(changes, ACTOR)
        except self.away:
            raise
        except Exception as error:
            if len(changes) == 1:
                logger.error("lifeline.refused", task=str(changes[0].id), exc_info=error)
                return set()
            middle = len(changes) // 2
            return await self._settle(changes[:middle]) | await self._settle(changes[middle:])

    async def _ring_again(self, now: float) -> None:
        """Ring for what was delivered and not taken, or is no longer in the stream: seldom, and ever more seldom."""
        if (heard := await self.heard()) is None:
            return
        for queue, ids in (await self._bells.due(heard, now)).items():
            logger.info("lifeline.ring", queue=queue, tasks=len(ids))
            await self.ring(queue, ids)

    async def _pause(self) -> float:
        """Until the next tick, or until the next task is due."""
        try:
            due_at = await self.tasks.next_due()
            if due_at is None or (self._looked and due_at <= self._looked and not self._moved):  # it cannot be queued
                return TICK_S
            return min(max((due_at - self._database_now()).total_seconds(), 0.01), TICK_S)
        except Exception as error:
            logger.info("lifeline.next_due_unknown", error=str(error))
            return TICK_S
