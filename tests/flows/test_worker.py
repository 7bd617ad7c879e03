"""Does a worker hold, run, finish and give back as it should? Over the dictionaries, with a clock of the test."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from adapters.memory import Memory
from adapters.nats.fetch import Bell
from domain import task
from domain.holding import Change, Held
from domain.job import Job, Work, Worker
from domain.kind import AnyKind
from domain.outcome import Done, Error, Outcome, Progress, Refused, Stumbled
from domain.record import MOST_JSON
from domain.task import Status, Task
from infra.clock import new_id
from infra.roles.crew import Crew
from infra.roles.runs import Runs
from tests import making
from tests.clocks import HandClock
from tests.making import KIND
from tests.waiting import settled, until


class Away(Exception):
    """Postgres does not answer."""


class Rows(Memory):
    """The rows as a database has them: at times away, at times slow."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__(now)
        self.claims_away = self.settles_away = 0  # how many calls fail
        self.claims, self.settles = asyncio.Event(), asyncio.Event()  # closed gates make them slow
        self.claims.set()
        self.settles.set()
        self.claiming = 0  # calls under way

    async def claim(
        self,
        ids: Sequence[UUID],
        facts: Sequence[UUID],
        worker: str,
        kinds: Sequence[str],
        lease_s: float,
        at: datetime,
    ) -> list[Held]:
        self.claiming += 1
        await self.claims.wait()
        self.claiming -= 1
        if self.claims_away:
            self.claims_away -= 1
            raise Away
        return await super().claim(ids, facts, worker, kinds, lease_s, at)

    async def settle(self, changes: Sequence[Change], actor: str) -> set[UUID]:
        await self.settles.wait()
        if self.settles_away:
            self.settles_away -= 1
            raise Away
        return await super().settle(changes, actor)


@dataclass
class World:
    rows: Rows
    time: HandClock
    crew: Crew = field(init=False)
    acknowledged: list[tuple[UUID, Task | None]] = field(default_factory=list)  # with the row at that moment

    async def new(self, **how: Any) -> UUID:
        id, entry = making.new_task(**{"at": self.time.now()} | how)
        await self.rows.append(entry)
        return id

    def ring(self, *ids: UUID) -> None:
        """By the stream: each was queued by the newest fact of its task."""
        self.crew.hear([Bell(id, self.row(id).version if id in self.rows._rows else 1, "") for id in ids])

    async def acknowledge(self, bells: Sequence[Bell]) -> None:
        self.acknowledged += [(bell.task, (await self.rows.get([bell.task])).get(bell.task)) for bell in bells]

    def row(self, id: UUID) -> Task:
        return self.rows._rows[id].task

    async def story(self, id: UUID) -> list[str]:
        return [type(one.fact.event).__name__ for one in await self.rows.read(f"task-{id}")]

    async def reached(self, id: UUID, *status: Status) -> Task:
        await until(lambda: self.row(id).status in status)
        return self.row(id)

    async def cancel(self, id: UUID) -> None:
        state = self.row(id)
        await self.rows.append(making.entry(id, state, task.cancel(state, "ops", "too long"), self.time.now()))

    async def take_away(self, id: UUID) -> None:
        """The lifeline gives the task to somebody else."""
        state = self.row(id)
        await Memory.settle(self.rows, [making.change(id, state, task.rescue(state, state.turn))], "lifeline")
        await Memory.claim(self.rows, [id], [new_id()], "other", ["probe"], 60, self.time.now())


@asynccontextmanager
async def crew(work: Work, kind: AnyKind = KIND, **settings: Any) -> AsyncIterator[World]:
    time = HandClock()
    rows = Rows(time.database)
    given: dict[str, Any] = {"heartbeat_s": 0.6, "grace_s": 0.05} | settings
    ours = {name: given.pop(name) for name in ("slots", "unheard_s") if name in given}
    runs = Runs("w", rows, rows, {kind.name: Worker(kind, work)}, time.clock, (Away,), **given)
    world = World(rows, time)
    world.crew = one = Crew(runs, [kind.queue], world.acknowledge, **{"slots": 4} | ours)
    loops = [
        asyncio.create_task(loop)
        for loop in (one.claim_loop(), one.claim_loop(), one.poll_loop(), one.runs.beat_loop())
    ]
    try:
        yield world
    finally:
        for running in [*loops, *(run.running for run in one.runs.held.values() if run.running)]:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


async def done(request: Any, job: Job) -> Outcome:
    return Done(result={"payload": request.payload, "attempt": job.attempt})


class Slow:
    """Work that ends when the test lets it."""

    def __init__(self, outcome: Outcome | None = None) -> None:
        self.outcome = outcome or Done(result="slow")
        self.gate = asyncio.Event()
        self.running = self.most = self.stopped = 0

    async def __call__(self, request: Any, job: Job) -> Outcome:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        finally:
            self.running -= 1
        return self.outcome


# Foreign words and numbers.


@pytest.mark.parametrize("words", ["Bo\udcee te pleine", "550 <ada@example.com>: no such user", "x" * 700_000])
async def test_an_error_is_stored_as_valid_bounded_words_without_addresses(words: str) -> None:
    async def refused(request: Any, job: Job) -> Outcome:
        return Refused(error=Error(type="far side", detail=words))

    async with crew(refused) as world:
        id = await world.new()
        world.ring(id)
        row = await world.reached(id, Status.FAILED)
        assert row.error is not None and len(row.error.detail) <= 2_000
        assert "ada@" not in row.error.detail and row.error.detail.encode()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
async def test_progress_that_is_no_number_is_not_told(number: float) -> None:
    async def strange(request: Any, job: Job) -> Outcome:
        job.report(number, 1)
        job.report(1, number)
        return Done(result=None, progress=Progress(done=number, total=1))

    async with crew(strange) as world:
        id = await world.new()
        world.ring(id)
        row = await world.reached(id, Status.COMPLETE)
        assert row.progress is None and await world.story(id) == ["Queued", "Started", "Completed"]


async def test_progress_beyond_its_total_writes_a_bounded_number_of_lines() -> None:
    async def counting(request: Any, job: Job) -> Outcome:
        for done in range(200):
            job.report(done, 1)
            await asyncio.sleep(0)
        return Done(result=None)

    async with crew(counting) as world:
        id = await world.new()
        world.ring(id)
        await world.reached(id, Status.COMPLETE)
        assert (await world.story(id)).count("Progressed") <= 20


class Unstorable(Exception):
    """What was to be written is itself at fault."""


async def test_what_cannot_be_stored_fails_alone() -> None:
    slow = Slow()
    async with crew(slow, unstorable=(Unstorable,)) as world:
        settle, poisoned = world.rows.settle, await world.new()

        async def strict(changes: Sequence[Change], actor: str) -> set[UUID]:
            if any(change.id == poisoned and change.after.status is Status.COMPLETE for change in changes):
                raise Unstorable
            return await settle(changes, actor)

        world.rows.settle = strict  # type: ignore[method-assign]
        ids = [await world.new() for _ in range(3)]
        world.ring(poisoned, *ids)
        await until(lambda: slow.running == 4)
        slow.gate.set()
        for id in ids:
            await world.reached(id, Status.COMPLETE)
        row = await world.reached(poisoned, Status.FAILED)
        assert row.error is not None and row.error.type == "unstorable"


async def test_a_worker_that_gets_its_own_lost_task_again_holds_it_once() -> None:
    slow = Slow()
    async with crew(slow, heartbeat_s=60) as world:
        id = await world.new()
        world.ring(id)
        await until(lambda: slow.running == 1)
        first = world.crew.runs.held[id]
        state = world.row(id)
        await Memory.settle(world.rows, [making.change(id, state, task.rescue(state, state.turn))], "lifeline")
        world.ring(id)
        await until(lambda: slow.stopped == 1 and slow.running == 1)
        await settled()
        assert world.crew.runs.held[id] is not first and world.crew.runs.held[id].held.task.turn == 2
        slow.gate.set()
        row = await world.reached(id, Status.COMPLETE)
        assert row.attempt == 2


# Claiming and running.


async def test_a_bell_leads_to_a_result() -> None:
    async with crew(done) as world:
        id = await world.new(request={"payload": "hello"})
        world.ring(id)
        row = await world.reached(id, Status.COMPLETE)
        assert row.result == {"payload": "hello", "attempt": 1}
        assert await world.story(id) == ["Queued", "Started", "Completed"]


async def test_at_most_as_many_run_as_there_are_slots() -> None:
    slow = Slow()
    async with crew(slow, slots=3) as world:
        ids = [await world.new() for _ in range(10)]
        world.ring(*ids)
        await until(lambda: slow.running == 3)
        await settled()
        assert slow.running == 3 and world.crew.free <= 0
        assert sum(world.row(id).status is Status.IN_PROGRESS for id in ids) == 3
        slow.gate.set()
        for id in ids:
            await world.reached(id, Status.COMPLETE)
        assert slow.most == 3


async def test_room_is_told_as_soon_as_there_is_any() -> None:
    slow = Slow()
    async with crew(slow, slots=1) as world:
        assert await world.crew.wanted() == 1
        world.ring(await world.new())
        wanted = asyncio.create_task(world.crew.wanted())
        await until(lambda: slow.running == 1)
        assert not wanted.done()
        slow.gate.set()
        assert await wanted == 1


async def test_a_bell_is_acknowledged_after_its_claim_has_committed_and_long_before_the_end() -> None:
    slow = Slow()
    async with crew(slow) as world:
        id = await world.new()
        world.rows.claims.clear()
        world.ring(id)
        await settled()
        assert world.acknowledged == []
        world.rows.claims.set()
        await until(lambda: bool(world.acknowledged))
        [(_, row)] = world.acknowledged
        assert row is not None and row.status is Status.IN_PROGRESS and slow.running == 1


async def test_a_bell_whose_claim_failed_is_not_acknowledged_and_comes_again() -> None:
    async with crew(done) as world:
        id = await world.new()
        world.rows.claims_away = 1
        world.ring(id)
        await settled()
        assert world.acknowledged == [] and world.row(id).status is Status.QUEUED and not world.crew.heard
        await world.time.advance(1)
        world.ring(id)
        await world.reached(id, Status.COMPLETE)
        await until(lambda: len(world.acknowledged) == 1)


async def test_a_bell_that_claims_nothing_is_acknowledged_too() -> None:
    async with crew(done) as world:
        id = await world.new()
        world.ring(id)
        await world.reached(id, Status.COMPLETE)
        world.ring(id, unknown := new_id())
        await until(lambda: len(world.acknowledged) == 3)
        assert {one for one, _ in world.acknowledged} == {id, unknown}
        assert await world.story(id) == ["Queued", "Started", "Completed"]


async def test_a_bell_that_comes_after_its_task_was_claimed_is_acknowledged_without_another_claim() -> None:
    slow = Slow()
    async with crew(slow) as world:
        id = await world.new()
        world.crew.overhear([id])
        await world.reached(id, Status.IN_PROGRESS)
        world.rows.claims.clear()
        world.crew.hear([Bell(id, 1, "")])
        await until(lambda: [one for one, _ in world.acknowledged] == [id])


async def test_while_a_claim_is_under_way_the_next_one_begins() -> None:
    slow = Slow()
    async with crew(slow, slots=2) as world:
        ids = [await world.new() for _ in range(3)]
        world.rows.claims.clear()
        for id in ids:
            world.crew.hear([Bell(id, 1, "")])
            await settled()
        assert world.rows.claiming == 2 and [*world.crew.heard] == ids[2:], "no more than there are slots for"
        world.rows.claims.set()
        await until(lambda: slow.running == 2)


async def test_without_a_bell_the_table_is_looked_into() -> None:
    async with crew(done, unheard_s=5.0) as world:
        id = await world.new()
        await world.time.advance(4)
        assert world.row(id).status is Status.QUEUED
        await world.time.advance(3)
        assert (await world.reached(id, Status.COMPLETE)).attempt == 1


async def test_while_bells_ring_the_table_is_left_alone() -> None:
    async with crew(done, unheard_s=5.0) as world:
        id = await world.new()
        for _ in range(10):
            await world.time.advance(2)
            world.ring(new_id())
        assert world.row(id).status is Status.QUEUED


# How attempts end.


async def raises(request: Any, job: Job) -> Outcome:
    raise RuntimeError("The printer is on fire.")


async def too_long(request: Any, job: Job) -> Outcome:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def too_large(request: Any, job: Job) -> Outcome:
    return Done(result="x" * (MOST_JSON - 1))  # and two quotes


async def just_fits(request: Any, job: Job) -> Outcome:
    return Done(result="x" * (MOST_JSON - 2))


async def wrong_type(request: Any, job: Job) -> Any:
    return {"ok": True}


async def no_json(request: Any, job: Job) -> Outcome:
    return Done(result=object())


def nested(levels: int) -> Work:
    async def work(request: Any, job: Job) -> Outcome:
        result: list[Any] = []
        for _ in range(levels - 1):
            result = [result]
        return Done(result=result)

    return work


async def no_number(request: Any, job: Job) -> Outcome:
    return Done(result={"ratios": [0.5, float("nan")]})


async def stumbles(request: Any, job: Job) -> Outcome:
    return Stumbled(error=Error(type="busy", detail="Later."))


async def refuses(request: Any, job: Job) -> Outcome:
    return Refused(error=Error(type="no_account", detail="There is none."))


@pytest.mark.parametrize(
    ("work", "status", "type_", "says"),
    [
        (raises, Status.SCHEDULED, "RuntimeError", "The printer is on fire."),
        (too_long, Status.SCHEDULED, "deadline", "longer than 0.05 s"),
        (stumbles, Status.SCHEDULED, "busy", "Later."),
        (refuses, Status.FAILED, "no_account", "There is none."),
        (too_large, Status.FAILED, "result_too_large", f"{MOST_JSON + 1} bytes; the most is {MOST_JSON}"),
        (wrong_type, Status.FAILED, "bad_outcome", "answered a dict"),
        (no_json, Status.FAILED, "bad_result", "cannot be written as JSON"),
        (nested(65), Status.FAILED, "bad_result", "more than 64 levels"),
        (nested(100_000), Status.FAILED, "bad_result", "cannot be written as JSON"),
        (no_number, Status.FAILED, "bad_result", "NaN"),
        (nested(64), Status.COMPLETE, None, None),
        (just_fits, Status.COMPLETE, None, None),
    ],
)
async def test_an_attempt_ends_as_a_value(work: Work, status: Status, type_: Any, says: Any) -> None:
    async with crew(work, replace(KIND, deadline_s=0.05)) as world:
        id = await world.new()
        world.ring(id)
        row = await world.reached(id, status)
        assert (row.error.type if row.error else None) == type_
        assert says is None or (row.error and says in row.error.detail)
        assert row.stumbles == (1 if status is Status.SCHEDULED else 0)
        assert row.due_at is not None and (status is not Status.SCHEDULED or row.due_at > world.time.now())


@pytest.mark.parametrize("hours", [-1, 0, 1])
async def test_a_worker_whose_clock_is_wrong_tries_again_when_it_should(hours: int) -> None:
    async with crew(stumbles) as world:
        world.time.jumped = timedelta(hours=hours)  # the rows' keeper has another clock, by which due tasks are found
        id = await world.new()
        world.ring(id)
        row = await world.reached(id, Status.SCHEDULED)
        assert row.due_at is not None
        assert timedelta() < row.due_at - world.time.database() < timedelta(minutes=1)


async def test_a_request_that_does_not_fit_its_kind_is_refused() -> None:
    async with crew(done) as world:
        id = await world.new(request={"work_s": "long"})
        world.ring(id)
        row = await world.reached(id, Status.FAILED)
        assert row.error is not None and row.error.type == "bad_request"


async def test_an_end_is_told_again_until_postgres_is_back() -> None:
    async with crew(done) as world:
        id = await world.new()
        world.rows.settles_away = 3
        world.ring(id)
        await settled()
        assert world.row(id).status is Status.IN_PROGRESS
        await world.time.advance(3)
        assert await world.story(id) == ["Queued", "Started", "Completed"]


# Cancelling.


async def test_cancelling_what_runs_is_confirmed() -> None:
    slow = Slow()
    async with crew(slow) as world:
        id = await world.new()
        world.ring(id)
        await until(lambda: slow.running == 1)
        await world.cancel(id)
        assert world.row(id).status is Status.IN_PROGRESS
        await heard_beat(world, lambda: slow.stopped == 1)
        row = await world.reached(id, Status.CANCELLED)
        assert row.cancel_requested is not None and row.cancel_requested.by == "ops"
        assert await world.story(id) == ["Queued", "Started", "CancelRequested", "Cancelled"]


async def heard_beat(world: World, holds: Callable[[], bool]) -> None:
    """Let heartbeats go round until it holds."""
    for _ in range(100):
        await world.time.advance(0.5)
        if holds():
            return
        with suppress(TimeoutError):  # the pause between two heartbeats is real time, 0.1 s
            async with asyncio.timeout(0.11):
                await until(holds)
    raise AssertionError("It did not come true.")


async def test_a_result_that_wins_against_the_cancelling_stands() -> None:
    slow = Slow()
    async with crew(slow) as world:
        id = await world.new()
        world.ring(id)
        await until(lambda: slow.running == 1)
        await world.cancel(id)
        slow.gate.set()
        assert (await world.reached(id, Status.COMPLETE, Status.CANCELLED)).status is Status.COMPLETE


async def test_a_result_that_waits_for_postgres_is_not_thrown_away_by_a_cancelling() -> None:
    async with crew(done) as world:
        *others, id = [await world.new() for _ in range(3)]
        world.rows.settles.clear()
        world.ring(*others, id)  # two statements are on their way, the third waits
        await until(lambda: len(world.crew.runs.held) == 3)
        await settled()
        await world.cancel(id)
        extended = 0
        extend = world.rows.extend

        async def counted(beats: Any, lease_s: float) -> Any:
            nonlocal extended
            extended += 1
            return await extend(beats, lease_s)

        world.rows.extend = counted  # type: ignore[method-assign]
        await heard_beat(world, lambda: extended >= 2)
        world.rows.settles.set()
        assert (await world.reached(id, Status.COMPLETE, Status.CANCELLED)).status is Status.COMPLETE
        assert await world.story(id) == ["Queued", "Started", "CancelRequested", "Completed"]


async def test_a_stumble_gives_way_to_a_request_to_cancel() -> None:
    slow = Slow(Stumbled(error=Error(type="busy", detail="Later.")))
    async with crew(slow) as world:
        id = await world.new()
        world.ring(id)
        await until(lambda: slow.running == 1)
        await world.cancel(id)
        slow.gate.set()
        await world.reached(id, Status.CANCELLED)
        assert await world.story(id) == ["Queued", "Started", "CancelRequested", "Cancelled"]


# Losing.


async def test_a_worker_whose_turn_has_passed_writes_nothing() -> None:
    slow = Slow()
    async with crew(slow) as world:
        id = await world.new()
        world.ring(id)
        await until(lambda: slow.running == 1)
        await world.take_away(id)
        story = await world.story(id)
        slow.gate.set()
        await until(lambda: not world.crew.runs.held)
        assert await world.story(id) == story and world.row(id).worker == "other"


async def test_a_worker_that_lost_its_lease_stops_the_work_and_writes_nothing() -> None:
    slow = Slow()
    async with crew(slow) as world:
        id = await world.new()
        world.ring(id)
        await until(lambda: slow.running == 1)
        await world.take_away(id)
        story = await world.story(id)
        await heard_beat(world, lambda: slow.stopped == 1)
        await until(lambda: not world.crew.runs.held)
        assert await world.story(id) == story and world.row(id).worker == "other"


async def test_heartbeats_keep_a_long_task_alive() -> None:
    slow = Slow()
    async with crew(slow, lease_s=2.0) as world:
        id = await world.new()
        world.ring(id)
        await until(lambda: slow.running == 1)
        lease = world.rows._rows[id].lease_until
        await heard_beat(world, lambda: world.rows._rows[id].lease_until != lease)
        assert await world.rows.expired(10) == []


# Progress.


async def test_progress_reaches_the_log_in_steps_of_five_percent() -> None:
    async def counts(request: Any, job: Job) -> Outcome:
        for n in range(1, 201):
            job.report(n, 200, "pages")
            await asyncio.sleep(0)
        return Done(result=None)

    async with crew(counts) as world:
        id = await world.new()
        world.ring(id)
        await world.reached(id, Status.COMPLETE)
        told = [one.fact.event for one in await world.rows.read(f"task-{id}")]
        shares = [event.done / event.total for event in told if isinstance(event, task.Progressed)]
        assert 10 <= len(shares) <= 20 and shares == sorted(shares)
        assert all(after - before >= 0.05 - 1e-9 for before, after in itertools.pairwise(shares))
        assert isinstance(told[-1], task.Completed)


async def test_progress_is_told_by_the_heartbeat_soon() -> None:
    gate = asyncio.Event()

    async def works(request: Any, job: Job) -> Outcome:
        job.report(1, 100, "pages", "began")
        await gate.wait()
        return Done(result=None)

    async with crew(works) as world:
        id = await world.new()
        world.ring(id)
        await world.reached(id, Status.IN_PROGRESS)
        await heard_beat(world, lambda: world.row(id).progress is not None)
        progress = world.row(id).progress
        assert progress is not None and (progress.done, progress.note) == (1.0, "began")
        assert await world.story(id) == ["Queued", "Started"]  # too little for a line in the log


# Ending.


async def test_what_is_unfinished_after_the_grace_is_given_back_at_once() -> None:
    slow = Slow()
    async with crew(slow) as world:
        ids = [await world.new() for _ in range(3)]
        world.ring(*ids)
        await until(lambda: slow.running == 3)
        await world.crew.stop()
        assert slow.stopped == 3
        for id in ids:
            row = world.row(id)
            assert (row.status, row.lost, row.stumbles) == (Status.QUEUED, 0, 0)
            told = [one.fact.event for one in await world.rows.read(f"task-{id}")]
            assert told[2:] == [task.Rescued(turn=1, lost=False), task.Queued()]


async def test_what_ends_within_the_grace_is_finished() -> None:
    slow = Slow()
    async with crew(slow, grace_s=5.0) as world:
        id, later = await world.new(), await world.new()
        world.ring(id)
        await until(lambda: slow.running == 1)
        stopping = asyncio.create_task(world.crew.stop())
        await settled()
        world.ring(later)  # nothing new is begun
        slow.gate.set()
        await stopping
        assert world.row(id).status is Status.COMPLETE and world.row(later).status is Status.QUEUED


async def test_a_cancelled_task_is_not_given_back_but_cancelled() -> None:
    slow = Slow()
    async with crew(slow) as world:
        id = await world.new()
        world.ring(id)
        await until(lambda: slow.running == 1)
        await world.cancel(id)
        await world.crew.stop()
        assert await world.story(id) == ["Queued", "Started", "CancelRequested", "Cancelled"]


async def test_a_result_that_waits_to_be_written_is_not_given_back_at_the_end() -> None:
    async with crew(done) as world:
        ids = [await world.new() for _ in range(4)]
        world.rows.settles.clear()
        world.ring(*ids)
        await until(lambda: len(world.crew.runs.held) == 4)
        await settled()
        stopping = asyncio.create_task(world.crew.stop())
        await until(lambda: world.crew.stopping)
        await asyncio.wait([stopping], timeout=world.crew.runs.grace_s * 2)  # the grace goes by
        world.rows.settles.set()
        await stopping
        assert [await world.story(id) for id in ids] == [["Queued", "Started", "Completed"]] * 4
