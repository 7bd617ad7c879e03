"""The tasks that a worker holds: each runs, reports, is kept alive by heartbeats, and tells how it ended.

Everything written about a task that is held goes through the fence of its turn, so a worker that lost a task can do no
harm. Ends gather: while one statement is in flight the next ones wait for it and go out together."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
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
from infra import metrics
from infra.clock import Clock
from infra.roles.attempt import attempt, sound
from infra.telemetry import OFF, Telemetry

logger = structlog.get_logger()
STOP_TRIES = 3  # each of a second
BEAT_SOON_S = 0.5  # how soon fresh progress is told


@dataclass(slots=True)
class Run:
    """A task that this worker holds."""

    held: Held
    running: asyncio.Task[None] | None = None
    progress: Progress | None = None  # the latest, for the next heartbeat
    logged: Task | None = None  # with the progress that the log knows
    cancelled: bool = False
    ended: bool = False  # how is known, and about to be written: nothing stops that any more
    behind: timedelta = timedelta()  # the clock here, when the task was claimed, that of the rows' keeper


@dataclass(slots=True)
class Runs:
    """What one worker process holds, by task. `beats` are the same rows as `tasks`, over a connection of their own: no
    queue delays a heartbeat."""

    name: str
    tasks: Tasks
    beats: Tasks
    workers: Mapping[str, Worker]
    clock: Clock
    transient: tuple[type[Exception], ...]  # errors after which the same call is made again
    unstorable: tuple[type[Exception], ...] = ()  # errors for which what was to be written is itself at fault
    lease_s: float = 10.0
    heartbeat_s: float = 3.0
    grace_s: float = 10.0
    written: Callable[[], None] = lambda: None  # rings the relay
    freed: Callable[[], None] = lambda: None  # a slot is free again
    telemetry: Telemetry = OFF
    stopping: bool = False
    held: dict[UUID, Run] = field(default_factory=dict)
    _telling: set[asyncio.Task[None]] = field(default_factory=set)
    _beat: asyncio.Event = field(default_factory=asyncio.Event)
    _lane: Lane[Change, bool] = field(init=False)

    def __post_init__(self) -> None:
        self._lane = Lane(self._settle, flights=1, most=200, splits=self.unstorable)

    def begin(self, held: Held, behind: timedelta = timedelta()) -> None:
        """Run what was just claimed, while the clock here is so far behind that of the rows' keeper."""
        run = Run(held, logged=held.task, behind=behind)
        if (lost := self.held.get(held.id)) is not None:  # this worker stood still, lost the task, and got it again
            self._cancel(lost)
        self.held[held.id] = run
        metrics.begun(held.task, self.clock.now())
        run.running = asyncio.create_task(self._run(run), name=f"task-{held.id}")

    async def _run(self, run: Run) -> None:
        held = run.held
        try:
            outcome = await self._attempt(run)
            await self._finish(run, _whole(outcome, run.progress))
        except asyncio.CancelledError:
            if run.cancelled and not self.stopping:
                await self._finish(run, Stopped())
        finally:
            if self.held.get(held.id) is run:
                del self.held[held.id]
            self.freed()

    async def _attempt(self, run: Run) -> Outcome:
        """The work itself, as it is timed, traced and logged."""
        held, begin = run.held, self.clock.monotonic()
        told = {"task": str(held.id), "kind": held.task.kind, "attempt": held.task.attempt, "turn": held.task.turn}
        about = {"correlation_id": held.correlation_id} if held.correlation_id else {}
        structlog.contextvars.bind_contextvars(**told, **about)  # the context is this asyncio task's own
        with self.telemetry.attempt(held) as traced:
            meta = Meta(actor=f"worker/{self.name}", correlation_id=held.correlation_id, traceparent=traced.traceparent)
            job = Job(held.id, held.task.attempt, self._reporter(run), meta)
            outcome = await attempt(self.workers[held.task.kind], held.task, job)
            traced.ended(outcome)
            seconds = self.clock.monotonic() - begin
            metrics.ended(held.task.kind, outcome, seconds)
            say = logger.debug if isinstance(outcome, Done) else logger.info
            why = {} if isinstance(outcome, Done | Stopped) else {"error_type": outcome.error.type}
            say("worker.attempt_ended", outcome=type(outcome).__name__.lower(), seconds=round(seconds, 3), **why)
            return outcome

    async def _finish(self, run: Run, outcome: Outcome) -> None:
        """Tell how it ended, until the row knows: at once, or after Postgres has come back."""
        run.ended = True
        held, state = run.held, run.held.task
        kind = self.workers[state.kind].kind
        while True:
            theirs = self.clock.now() + run.behind  # who dispatches what is due again looks at that clock
            events = task.finish(state, kind, held.task.turn, outcome, theirs, self.clock.chance())
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
                self._telling.add(telling)
                telling.add_done_callback(self._telling.discard)
            self._beat.set()

        return report

    async def _tell(self, change: Change) -> None:
        """Progress in flight when the task ends is dropped."""
        run = self.held.get(change.id)
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
            if not self.held:
                continue
            held = dict(self.held)
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
        """What runs gets its grace; the rest is given back at once."""
        self.stopping = True
        running = [run.running for run in self.held.values() if run.running is not None]
        if running:
            await asyncio.wait(running, timeout=self.grace_s)
        await asyncio.gather(*(self._give_back(run) for run in list(self.held.values())))
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
