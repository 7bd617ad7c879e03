"""Does the lifeline find what was lost, and leave alone what was not?"""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from adapters.memory import Memory
from domain import task
from domain.holding import Change
from domain.outcome import Error
from domain.task import MOST_LOST, Status, Task
from infra.clock import new_id
from infra.roles.bells import LONGEST_S, PAGE, Heard
from infra.roles.lifeline import Lifeline
from tests import making
from tests.clocks import HandClock

LEASE_S = 10.0
UNHEARD_S = 5.0


class Away(Exception):
    """Postgres does not answer."""


@dataclass
class World:
    time: HandClock
    rows: Memory
    lifeline: Lifeline
    rung: list[tuple[float, UUID]] = field(default_factory=list)
    delivered: int = 0
    first: int = 1
    nats: bool = True
    written: int = 0

    async def new(self, **how: Any) -> UUID:
        id, entry = making.new_task(**{"at": self.time.now()} | how)
        await self.rows.append(entry)
        self.rows.sequence()
        return id

    async def claim(self, id: UUID) -> Task:
        [held] = await self.rows.claim([id], [new_id()], "w", ["probe"], LEASE_S, self.time.database())
        return held.task

    async def beat(self, id: UUID) -> None:
        row = await self.row(id)
        await self.rows.extend([(id, row.turn, None)], LEASE_S)

    async def row(self, id: UUID) -> Task:
        return (await self.rows.get([id]))[id]

    async def story(self, id: UUID) -> list[str]:
        return [type(one.fact.event).__name__ for one in await self.rows.read(f"task-{id}")]

    async def pass_time(self, seconds: float, tick: bool = True, beating: Sequence[UUID] = ()) -> None:
        """Seconds go by, with a tick in each of them."""
        for _ in range(round(seconds)):
            await self.time.advance(1.0, step=1.0)
            for id in beating:
                await self.beat(id)
            if tick:
                await self.lifeline.tick()
                self.rows.sequence()


@pytest.fixture
async def world() -> World:
    time = HandClock()
    rows = Memory(time.database)

    async def ring(queue: str, ids: Sequence[UUID]) -> None:
        made.rung += [(time.seconds, id) for id in ids]

    async def heard() -> Heard | None:
        head = len(await rows.ledger(0, 10**9))
        return Heard({"default": made.delivered}, made.first, head) if made.nats else None

    def written() -> None:
        made.written += 1

    lifeline = Lifeline(rows, time.clock, ring, heard, written, (Away,), LEASE_S, UNHEARD_S)
    made = World(time, rows, lifeline)
    await lifeline.tick()
    return made


# Rescue.


async def test_what_lost_its_holder_is_queued_again_and_rung_for(world: World) -> None:
    id = await world.new()
    await world.claim(id)
    await world.pass_time(10)
    assert await world.story(id) == ["Queued", "Started"]
    await world.pass_time(2)
    row = await world.row(id)
    assert (row.status, row.lost, row.worker) == (Status.QUEUED, 1, None)
    assert await world.story(id) == ["Queued", "Started", "Rescued", "Queued"]
    assert [one for _, one in world.rung] == [id] and world.written == 1
    assert (await world.claim(id)).turn == 2


async def test_what_has_a_heartbeat_is_left_alone(world: World) -> None:
    id = await world.new()
    await world.claim(id)
    await world.pass_time(60, beating=[id])
    assert await world.story(id) == ["Queued", "Started"]


async def test_a_task_that_lost_twenty_holders_fails(world: World) -> None:
    id = await world.new()
    for _ in range(MOST_LOST):
        await world.claim(id)
        await world.pass_time(12)
    row = await world.row(id)
    assert row.status is Status.FAILED and row.error is not None and row.error.type == "worker_lost"
    assert row.attempt == MOST_LOST and row.stumbles == 0


async def test_a_cancelling_whose_holder_is_dead_is_confirmed(world: World) -> None:
    id = await world.new()
    state = await world.claim(id)
    await world.rows.append(making.entry(id, state, task.cancel(state, "ops", "too long"), world.time.now()))
    await world.pass_time(12)
    row = await world.row(id)
    assert row.status is Status.CANCELLED and row.cancel_requested is not None and row.cancel_requested.by == "ops"
    assert world.rung == []  # there is nothing to be done


# Grace.


async def test_after_a_late_tick_every_holder_has_one_lease_to_be_heard(world: World) -> None:
    alive, dead = await world.new(), await world.new()
    await world.claim(alive)
    await world.claim(dead)
    await world.pass_time(60, tick=False)  # this process stood still: so did the worker
    await world.lifeline.tick()
    assert (await world.row(alive)).status is Status.IN_PROGRESS
    await world.pass_time(9, beating=[alive])
    assert (await world.row(dead)).status is Status.IN_PROGRESS
    await world.pass_time(2, beating=[alive])
    assert (await world.row(alive)).status is Status.IN_PROGRESS
    assert (await world.row(dead)).status is Status.QUEUED


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(seconds=20)])
async def test_after_the_databases_clock_jumped_every_holder_has_one_lease_to_be_heard(
    world: World, jump: timedelta
) -> None:
    alive, dead = await world.new(), await world.new()
    await world.claim(alive)
    await world.claim(dead)
    await world.pass_time(2, beating=[alive])
    world.time.jumped = jump
    await world.lifeline.tick()
    assert (await world.row(alive)).status is Status.IN_PROGRESS
    await world.pass_time(11, beating=[alive])
    assert (await world.row(alive)).status is Status.IN_PROGRESS
    assert (await world.row(dead)).status is Status.QUEUED


async def test_a_small_drift_of_the_clocks_is_no_jump(world: World) -> None:
    id = await world.new()
    await world.claim(id)
    for _ in range(12):
        world.time.jumped += timedelta(seconds=0.1)
        await world.pass_time(1)
    assert (await world.row(id)).status is Status.QUEUED


# Dispatch.


async def test_what_is_due_is_queued_when_it_is_and_rung_for(world: World) -> None:
    later = await world.new(due_at=world.time.now() + timedelta(seconds=30))
    soon = await world.new(due_at=world.time.now() + timedelta(seconds=5))
    await world.pass_time(4)
    assert (await world.row(soon)).status is Status.SCHEDULED
    await world.pass_time(1)
    assert (await world.row(soon)).status is Status.QUEUED and (await world.row(later)).status is Status.SCHEDULED
    assert [id for _, id in world.rung] == [soon] and world.written == 1
    assert await world.story(soon) == ["Scheduled", "Queued"]


async def test_what_is_due_is_so_by_the_clock_that_all_share(world: World) -> None:
    world.time.jumped = timedelta(hours=1)  # the database's; the relay's own is an hour behind
    id = await world.new(due_at=world.time.database() + timedelta(seconds=5))
    await world.pass_time(4)
    assert (await world.row(id)).status is Status.SCHEDULED
    await world.pass_time(2)
    assert (await world.row(id)).status is Status.QUEUED


async def test_a_stumbled_task_comes_back_after_its_pause(world: World) -> None:
    id = await world.new()
    state = await world.claim(id)
    again: list[task.Event] = [
        task.Stumbled(error=Error(type="busy", detail="d"), again_at=world.time.now() + timedelta(seconds=3))
    ]
    await world.rows.settle([making.change(id, state, again, world.time.now(), turn=1)], "worker/w")
    await world.pass_time(2)
    assert (await world.row(id)).status is Status.SCHEDULED
    await world.pass_time(1)
    assert (await world.row(id)).status is Status.QUEUED and world.rung == [(3.0, id)]


async def test_a_tick_waits_no_longer_than_until_the_next_task_is_due(world: World) -> None:
    assert await world.lifeline._pause() == 1.0
    await world.new(due_at=world.time.now() + timedelta(seconds=0.25))
    assert await world.lifeline._pause() == pytest.approx(0.25)
    await world.time.advance(5)
    assert await world.lifeline._pause() == 0.01


# Bells.


async def test_what_was_delivered_and_not_taken_is_rung_for_with_growing_pauses(world: World) -> None:
    id = await world.new()
    world.delivered = 1
    await world.pass_time(2_000)
    times = [at for at, one in world.rung if one == id]
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert UNHEARD_S < times[0] <= UNHEARD_S + 2
    assert pauses[:5] == [5.0, 10.0, 20.0, 40.0, 80.0] and pauses[5] < 1.5 * LONGEST_S
    assert set(pauses[6:]) == {LONGEST_S}
    assert await world.story(id) == ["Queued"] and world.written == 0  # a bell is never a fact


async def test_what_the_consumer_has_still_to_deliver_is_never_rung_for(world: World) -> None:
    for _ in range(50):
        await world.new()
    world.delivered = 10
    await world.pass_time(100)
    ledger = await world.rows.ledger(0, 10)
    assert {f"task-{id}" for _, id in world.rung} == {one.fact.stream for one in ledger}


async def test_what_has_left_the_stream_is_rung_for(world: World) -> None:
    ids = [await world.new() for _ in range(4)]
    world.delivered, world.first = 0, 3
    await world.pass_time(10)
    assert {id for _, id in world.rung} == set(ids[:2])


async def test_while_nats_is_away_nothing_is_rung_for_but_the_rest_goes_on(world: World) -> None:
    world.nats = False
    await world.new()
    lost = await world.new()
    await world.claim(lost)
    await world.pass_time(30)
    assert (await world.row(lost)).status is Status.QUEUED
    assert {id for _, id in world.rung} == {lost}  # by the rescue itself


async def test_a_task_that_was_taken_begins_anew_with_short_pauses(world: World) -> None:
    id = await world.new()
    world.delivered = 10**9
    await world.pass_time(60)
    state = await world.claim(id)
    await world.rows.settle(
        [making.change(id, state, task.rescue(state, 1, lost=False), world.time.now(), turn=1)], "worker/w"
    )
    await world.pass_time(1)
    begin, world.rung = world.time.seconds, []
    await world.pass_time(12)
    assert [at - begin for at, _ in world.rung] == [6.0, 11.0]  # numbered a second after


async def test_many_that_nobody_takes_hide_none_behind_them(world: World) -> None:
    ids = [await world.new() for _ in range(3 * PAGE + 1)]
    world.delivered = 10**9
    await world.pass_time(12)
    assert {id for _, id in world.rung} == set(ids)
    assert len(world.rung) <= 12 * PAGE, "a page a tick at most"


async def test_after_an_election_whatever_is_unheard_is_rung_for_at_once(world: World) -> None:
    id = await world.new()
    world.delivered = 1
    before = world.lifeline
    new = Lifeline(
        before.tasks, before.clock, before.ring, before.heard, before.written, before.away, LEASE_S, UNHEARD_S
    )
    await new.tick()
    assert [one for _, one in world.rung] == [id]


async def test_an_error_that_nobody_foresaw_ends_neither_the_lifeline_nor_the_roles_beside_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = await world.new()
    await world.claim(id)
    look = world.rows.due

    async def broken(*_: Any) -> Any:
        monkeypatch.setattr(world.rows, "due", look)
        raise RecursionError("maximum recursion depth exceeded")

    monkeypatch.setattr(world.rows, "due", broken)
    running = asyncio.create_task(world.lifeline.run())
    for _ in range(30):
        await world.time.advance(1.0, step=1.0)
    assert not running.done() and (await world.row(id)).status is Status.QUEUED
    running.cancel()


async def test_what_cannot_be_written_keeps_no_other_from_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [await world.new(due_at=world.time.now() + timedelta(seconds=5)) for _ in range(7)]
    lost = await world.new()
    await world.claim(lost)
    settle = world.rows.settle

    async def refusing(changes: Sequence[Change], actor: str) -> set[UUID]:
        if ids[3] in {change.id for change in changes}:
            raise ValueError("It cannot be stored.")
        return await settle(changes, actor)

    monkeypatch.setattr(world.rows, "settle", refusing)
    await world.pass_time(15)
    scheduled = [id for id in ids if (await world.row(id)).status is Status.SCHEDULED]
    assert scheduled == [ids[3]] and (await world.row(lost)).status is Status.QUEUED
    assert await world.lifeline._pause() == 1.0, "no spin for what is due and cannot be queued"
