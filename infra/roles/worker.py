"""The worker: hears of tasks, claims as many as it has free slots for, runs them, and tells how they ended.

    bell (JetStream, core NATS or a poll) ──▶ claim ──▶ acknowledge the bell ──▶ run ──▶ finish
                                                               │
                                                    heartbeat ─┘ extends the lease, brings progress, hears of cancelling

A bell is only an id: the row in Postgres decides. Everything written about a task that is held goes through the fence
of its turn, so a worker that lost a task can do no harm."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import structlog
from msgspec.structs import replace

from adapters.postgres.lane import Lane
from domain import compose, task
from domain.holding import Change, Held, Tasks
from domain.job import Job, Worker
from domain.log import Meta
from domain.outcome import Done, Error, Outcome, Progress, Refused, Stopped
from domain.task import Task
from infra.clock import Clock
from infra.roles.attempt import attempt, sound

logger = structlog.get_logger()
Ack = Callable[[], Awaitable[None]]
STOP_TRIES = 3  # each of a second
BEAT_SOON_S = 0.5  # how soon fresh progress is told
SHARED = 4  # a poll looks at so many times as much as it may take
POLL_S, POLL_AGAIN_S = 1.0, 0.02  # between two looks into the table: while there is nothing, while there is something


@dataclass(slots=True)
class Run:
    """A task that this worker holds."""

    held: Held
    running: asyncio.Task[None] | None = None
    progress: Progress | None = None  # the latest, for the next heartbeat
    logged: Task | None = None  # with the progress that the log knows
    cancelled: bool = False
    ended: bool = False  # how is known, and about to be written: nothing stops that any more


@dataclass(slots=True)
class Crew:
    """One worker process. `beats` are the same rows over a connection of their own: no queue delays a heartbeat."""

    name: str
    tasks: Tasks
    beats: Tasks
    workers: dict[str, Worker]
    queues: Sequence[str]
    clock: Clock
    transient: tuple[type[Exception], ...]  # errors after which the same call is made again
    unstorable: tuple[type[Exception], ...] = ()  # errors for which what was to be written is itself at fault
    slots: int = 16
    lease_s: float = 10.0
    heartbeat_s: float = 3.0
    unheard_s: float = 5.0
    grace_s: float = 10.0
    written: Callable[[], None] = lambda: None  # rings the relay
    heard: OrderedDict[UUID, list[Ack]] = field(default_factory=OrderedDict)
    runs: dict[UUID, Run] = field(default_factory=dict)
    stopping: bool = False
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _room: asyncio.Event = field(default_factory=asyncio.Event)
    _beat: asyncio.Event = field(default_factory=asyncio.Event)
    _heard_at: float = 0.0
    _claiming: asyncio.Task[None] | None = None
    _lane: Lane[Change, bool] = field(init=False)

    def __post_init__(self) -> None:
        self._lane = Lane(self._settle, flights=2, most=200, splits=self.unstorable)
        self._room.set()

    # Hearing.

    def hear(self, bells: Sequence[tuple[UUID, Ack]]) -> None:
        """Bells of the durable: each is acknowledged after the claim that it led to has committed."""
        for id, ack in bells:
            self.heard.setdefault(id, []).append(ack)
        self._heard_at = self.clock.monotonic()
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
        return 0 if self.stopping else self.slots - len(self.runs) - len(self.heard)

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
            while self.heard and len(self.runs) < self.slots and not self.stopping:
                self._claiming = asyncio.create_task(self._claim_some())
                await asyncio.shield(self._claiming)  # what was claimed is held, also by a worker that is to stop

    async def _claim_some(self) -> None:
        ids = list(self.heard)[: self.slots - len(self.runs)]
        facts = [self.clock.new_id() for _ in ids]
        try:
            held = await self.tasks.claim(ids, facts, self.name, list(self.workers), self.lease_s, self.clock.now())
        except self.transient as error:
            for id in ids:  # no acknowledgement: the bells come again
                self.heard.pop(id, None)
            self._room.set()
            logger.warning("worker.claim_failed", error=str(error))
            await self.clock.sleep(0.5)
            return
        acks = [ack for id in ids for ack in self.heard.pop(id, [])]
        for one in held:
            self._begin(one)
        if held:
            self.written()
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
            await self.clock.sleep(POLL_AGAIN_S if found else POLL_S)

    def _quiet(self) -> bool:
        return self.clock.monotonic() - self._heard_at >= self.unheard_s

    async def _poll(self) -> int:
        try:
            ids = await self.tasks.queued(self.queues, list(self.workers), self.free * SHARED)
        except self.transient as error:
            logger.warning("worker.poll_failed", error=str(error))
            return 0
        ids.sort(key=lambda _: self.clock.chance())  # other workers poll, too: not all want the same
        self._note([id for id in ids if id not in self.runs])
        return len(ids)

    # Running.

    def _begin(self, held: Held) -> None:
        run = Run(held, logged=held.task)
        if (lost := self.runs.get(held.id)) is not None:  # this worker stood still, lost the task, and got it again
            self._cancel(lost)
        self.runs[held.id] = run
        run.running = asyncio.create_task(self._run(run), name=f"task-{held.id}")

    async def _run(self, run: Run) -> None:
        held = run.held
        try:
            worker = self.workers[held.task.kind]
            outcome = await attempt(worker, held.task, Job(held.id, held.task.attempt, self._reporter(run)))
            await self._finish(run, _whole(outcome, run.progress))
        except asyncio.CancelledError:
            if run.cancelled and not self.stopping:
                await self._finish(run, Stopped())
        finally:
            if self.runs.get(held.id) is run:
                del self.runs[held.id]
            self._room.set()
            self._news.set()

    async def _finish(self, run: Run, outcome: Outcome) -> None:
        """Tell how it ended, until the row knows: at once, or after Postgres has come back."""
        run.ended = True
        held, state = run.held, run.held.task
        kind = self.workers[state.kind].kind
        while True:
            events = task.finish(state, kind, held.task.turn, outcome, self.clock.now(), self.clock.chance())
            if not events:
                logger.warning("worker.turn_passed", task=str(held.id), turn=held.task.turn)
                return
            try:
                if await self._lane.do(self._change(held, state, events)):
                    self.written()
                    return
                found = (await self.tasks.get([held.id])).get(held.id)
            except self.unstorable as error:
                logger.error("worker.unstorable", task=str(held.id), exc_info=error)
                detail = f"How the attempt ended cannot be stored: {type(error).__name__}."
                if isinstance(outcome, Refused) and outcome.error.type == "unstorable":
                    return  # the lease runs out, and the lifeline ends it in time
                outcome = Refused(error=Error(type="unstorable", detail=detail))
                continue
            except self.transient as error:
                logger.warning("worker.finish_failed", task=str(held.id), error=str(error))
                await self.clock.sleep(0.5)
                continue
            assert found is not None, "A task that was claimed has a row."
            state = found

    def _change(self, held: Held, state: Task, events: Sequence[task.Event]) -> Change:
        """What was decided, behind the fence of the turn. A decision that would be another after a request to cancel
        holds only while there is none."""
        meta = Meta(actor=f"worker/{self.name}")
        facts, after = compose.of_task(held.id, state, events, meta, self.clock.now(), self.clock.new_id)
        final = isinstance(events[0], task.Completed | task.Cancelled | task.Progressed)
        return Change(held.id, after, facts, turn=held.task.turn, uncancelled=not final)

    async def _settle(self, changes: Sequence[Change]) -> Sequence[bool | Exception]:
        """A statement holds at most one change of a task: its end supersedes the progress before it."""
        latest = {change.id: change for change in changes}
        settled = await self.tasks.settle(list(latest.values()), f"worker/{self.name}")
        return [change is latest[change.id] and change.id in settled for change in changes]

    # Progress and heartbeats.

    def _reporter(self, run: Run) -> Callable[..., None]:
        def report(done: float, total: float, unit: str = "", note: str = "") -> None:
            progress = sound(Progress(done=float(done), total=float(total), unit=unit, note=note))
            if progress is None or run.logged is None:
                return
            run.progress = progress
            events = task.report(run.logged, run.held.task.turn, run.progress)
            if events:
                change = self._change(run.held, run.logged, events)
                run.logged = change.after
                telling = asyncio.create_task(self._tell(change))
                _TELLING.add(telling)
                telling.add_done_callback(_TELLING.discard)
            self._beat.set()

        return report

    async def _tell(self, change: Change) -> None:
        """Progress in flight when the task ends is dropped."""
        run = self.runs.get(change.id)
        if run is None or run.ended:
            return
        try:
            await self._lane.do(change)
        except (*self.unstorable, *self.transient) as error:
            logger.info("worker.progress_lost", task=str(change.id), error=str(error))

    async def beat_loop(self) -> None:
        """Extend the leases of all that is held: every few seconds, sooner where there is progress to tell."""
        while True:
            await self._until_next_beat()
            if not self.runs:
                continue
            held = dict(self.runs)
            beats = [(id, run.held.task.turn, run.progress) for id, run in held.items()]
            try:
                still = await self.beats.extend(beats, self.lease_s)
            except Exception as error:  # whatever it is, the next beat is near, and without beats all would be lost
                logger.warning("worker.heartbeat_failed", error=str(error) or type(error).__name__)
                continue
            for id, run in held.items():
                self._after_beat(run, still.get(id))

    async def _until_next_beat(self) -> None:
        self._beat.clear()
        await self.clock.sleep(BEAT_SOON_S)
        try:
            async with asyncio.timeout(max(self.heartbeat_s - BEAT_SOON_S, 0.1)):
                await self._beat.wait()
        except TimeoutError:
            return

    def _after_beat(self, run: Run, cancel_requested: bool | None) -> None:
        """The row says that the task is somebody else's (None), or is to be cancelled."""
        if cancel_requested is None or cancel_requested:
            self._cancel(run)

    def _cancel(self, run: Run) -> None:
        """Asked for again with every beat: up to Python 3.11 `asyncio.wait_for` can lose a cancellation."""
        if run.running is not None and not run.ended:
            run.cancelled = True
            run.running.cancel()

    # Ending.

    async def stop(self) -> None:
        """No new claims; what runs gets its grace; the rest is given back at once."""
        self.stopping = True
        if self._claiming is not None:
            await asyncio.wait([self._claiming])
        self.heard.clear()
        self._news.set()
        running = [run.running for run in self.runs.values() if run.running is not None]
        if running:
            await asyncio.wait(running, timeout=self.grace_s)
        left = list(self.runs.values())
        await asyncio.gather(*(self._give_back(run) for run in left))
        await self._lane.drain()

    async def _give_back(self, run: Run) -> None:
        """Stop the work, then queue its task again; what has ended tells so itself, as long as there is time."""
        assert run.running is not None, "What is held runs."
        for _ in range(STOP_TRIES):
            if run.running.done():
                break
            if not run.ended:
                run.running.cancel()
            await asyncio.wait([run.running], timeout=1)
        if run.ended or not run.running.done():
            return  # its lease runs out, and the lifeline finds it
        try:
            state = (await self.tasks.get([run.held.id]))[run.held.id]
            events = task.rescue(state, run.held.task.turn, lost=False)
            if events:
                await self._lane.do(self._change(run.held, state, events))
                logger.info("worker.gave_back", task=str(run.held.id))
        except self.transient as error:  # its lease runs out, and the lifeline finds it
            logger.warning("worker.give_back_failed", task=str(run.held.id), error=str(error))


def _whole(outcome: Outcome, reported: Progress | None) -> Outcome:
    """A result whose worker said nothing else of its progress: all that it reported on is done."""
    if not isinstance(outcome, Done) or outcome.progress is not None or reported is None:
        return outcome
    return replace(outcome, progress=replace(reported, done=reported.total))


_TELLING: set[asyncio.Task[None]] = set()
