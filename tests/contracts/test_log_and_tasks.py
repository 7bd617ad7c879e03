"""Do the dictionaries and Postgres agree? One contract for the log and the task rows."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec import structs

from adapters.memory import Memory
from adapters.postgres.database import Database
from adapters.postgres.leadership import Leadership
from adapters.postgres.log import PostgresLog
from adapters.postgres.tasks import PostgresTasks
from domain import compose, item, task
from domain.holding import Held, Tasks
from domain.kind import AnyKind
from domain.log import Conflict, Entry, Log, Replayed
from domain.outcome import Error, Progress
from domain.task import Status, Task
from infra.clock import new_id
from tests import making
from tests.making import KIND, META

GONE = -1.0  # a lease that has run out already
LEASE = 60.0
DONE = task.Completed(result={"ok": True})


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class World:
    log: Log
    tasks: Tasks
    sequence: Callable[[], Awaitable[int]]
    kind: AnyKind  # of this test alone, in a queue of its own

    async def new(self, **how: Any) -> UUID:
        id, entry = making.new_task(kind=self.kind, **{"at": now()} | how)
        await self.log.append(entry)
        return id

    async def claim(self, *ids: UUID, lease_s: float = LEASE, worker: str = "w") -> list[Held]:
        return await self.tasks.claim(ids, [new_id() for _ in ids], worker, [self.kind.name], lease_s, now())

    async def held(self, lease_s: float = LEASE) -> tuple[UUID, Task]:
        id = await self.new()
        [held] = await self.claim(id, lease_s=lease_s)
        return id, held.task

    async def row(self, id: UUID) -> Task:
        return (await self.tasks.get([id]))[id]

    async def story(self, id: UUID) -> list[str]:
        return [type(one.fact.event).__name__ for one in await self.log.read(f"task-{id}")]

    async def cancel(self, id: UUID) -> None:
        state = await self.row(id)
        await self.log.append(making.entry(id, state, task.cancel(state, "ops", "too long"), now()))


@pytest.fixture(params=["memory", "postgres"])
def address(request: pytest.FixtureRequest) -> str | None:
    """Of the database; None for the dictionaries. Servers start outside the event loop."""
    return str(request.getfixturevalue("dsn")("postcommit")) if request.param == "postgres" else None


@pytest.fixture
async def world(address: str | None) -> AsyncIterator[World]:
    kind = replace(KIND, name=f"probe_{new_id().hex}", queue=f"queue_{new_id().hex}")
    if address is None:
        memory = Memory(now)

        async def sequence() -> int:
            return memory.sequence()

        yield World(memory, memory, sequence, kind)
        return
    database = Database(address, 8)
    async with await Leadership.open(address) as leadership:
        yield World(PostgresLog(database), PostgresTasks(database), lambda: leadership.sequence(5_000), kind)
    await database.close()


async def test_what_was_appended_is_read_back_and_numbered_once(world: World) -> None:
    await world.sequence()
    [before] = (await world.log.ledger(0, 100_000))[-1:] or [None]
    id, entry = making.new_task({"payload": "å"}, kind=world.kind, at=now())
    await world.log.append(entry)
    [written] = await world.log.read(f"task-{id}")
    assert written.position is None and written.fact == entry.facts[0]
    assert await world.sequence() == 1 and await world.sequence() == 0
    start = before.position if before and before.position else 0
    [numbered] = await world.log.ledger(start, 10)
    assert numbered.position == start + 1 and numbered.fact == entry.facts[0]
    assert (await world.log.read(f"task-{id}"))[0].position == start + 1
    assert await world.row(id) == entry.tasks[0][1]


async def test_the_ledger_is_read_in_pages(world: World) -> None:
    await world.sequence()
    start = len(await world.log.ledger(0, 1_000_000))
    ids = [await world.new() for _ in range(5)]
    await world.sequence()
    pages = [await world.log.ledger(start + at, 2) for at in (0, 2, 4)]
    assert [one.fact.stream for page in pages for one in page] == [f"task-{id}" for id in ids]


async def test_an_unknown_stream_and_an_unknown_task_are_empty(world: World) -> None:
    assert await world.log.read("task-none") == []
    assert await world.tasks.get([new_id()]) == {}


async def test_a_taken_version_is_a_conflict_and_nothing_of_the_entry_is_written(world: World) -> None:
    id = await world.new()
    other, entry = making.new_task(kind=world.kind, once=making.once(key=str(id)))
    _, again = making.new_task(kind=world.kind, id=id)
    with pytest.raises(Conflict):
        await world.log.append(Entry(entry.facts + again.facts, entry.tasks + again.tasks, once=entry.once))
    assert await world.log.read(f"task-{other}") == [] and await world.tasks.get([other]) == {}
    await world.log.append(entry)  # its key was not used up either
    assert await world.story(id) == ["Queued"]


async def test_of_many_who_write_first_one_does(world: World) -> None:
    id = new_id()
    entries = [making.new_task(kind=world.kind, id=id)[1] for _ in range(8)]
    answers = await asyncio.gather(*(world.log.append(entry) for entry in entries), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["Conflict"] * 7 + ["NoneType"]
    assert await world.story(id) == ["Queued"]


async def test_a_used_key_writes_nothing_and_gives_the_first_answer(world: World) -> None:
    key = str(new_id())
    await world.new(once=making.once(key, b"first", b"1"))
    id, entry = making.new_task(kind=world.kind, once=making.once(key, b"second", b"2"))
    with pytest.raises(Replayed) as replayed:
        await world.log.append(entry)
    assert (replayed.value.fingerprint, replayed.value.answer.body) == (b"1", b"first")
    assert await world.log.read(f"task-{id}") == [] and await world.tasks.get([id]) == {}
    for other in ({"holder": "somebody"}, {"route": "POST /v1/orders"}, {"key": "another"}):
        await world.new(once=structs.replace(making.once(key), **other))


async def test_a_key_is_used_once_by_many_at_once(world: World) -> None:
    key = str(new_id())
    entries = [making.new_task(kind=world.kind, once=making.once(key, str(n).encode()))[1] for n in range(50)]
    answers = await asyncio.gather(*(world.log.append(entry) for entry in entries), return_exceptions=True)
    [first] = [n for n, answer in enumerate(answers) if answer is None]
    replayed = [answer for answer in answers if isinstance(answer, Replayed)]
    assert len(replayed) == 49 and {one.answer.body for one in replayed} == {str(first).encode()}
    assert len(await world.tasks.get([entry.tasks[0][0] for entry in entries])) == 1


async def test_a_change_of_what_changed_meanwhile_is_a_conflict_and_writes_nothing(world: World) -> None:
    id = await world.new()
    stale = await world.row(id)
    await world.claim(id)
    new, entry = making.new_task(kind=world.kind)
    cancelled = making.entry(id, stale, task.cancel(stale, "ops"))
    key = making.once(str(new_id()))
    with pytest.raises(Conflict):
        await world.log.append(Entry(cancelled.facts + entry.facts, entry.tasks, cancelled.changed, key))
    assert await world.story(id) == ["Queued", "Started"] and await world.log.read(f"task-{new}") == []
    await world.log.append(structs.replace(entry, once=key))


async def test_a_change_with_a_used_key_is_replayed(world: World) -> None:
    id, key = await world.new(), making.once(str(new_id()), b"first")
    state = await world.row(id)
    entry = making.entry(id, state, task.cancel(state, "ops"))
    await world.log.append(structs.replace(entry, once=key))
    with pytest.raises(Replayed) as replayed:
        await world.log.append(structs.replace(entry, once=key))
    assert replayed.value.answer.body == b"first"
    assert await world.story(id) == ["Queued", "Cancelled"]


async def test_a_change_keeps_its_own_meta(world: World) -> None:
    id = await world.new()
    await world.cancel(id)
    assert [one.fact.meta for one in await world.log.read(f"task-{id}")] == [META, META]


async def test_a_claim_takes_what_is_queued_once(world: World) -> None:
    id, fact = await world.new(), new_id()
    [held] = await world.tasks.claim([id], [fact], "w", [world.kind.name], LEASE, at := now())
    assert (held.id, held.correlation_id, held.traceparent) == (id, META.correlation_id, META.traceparent)
    state = held.task
    assert (state.status, state.turn, state.attempt, state.worker) == (Status.IN_PROGRESS, 1, 1, "w")
    assert state == await world.row(id) and await world.claim(id) == []
    first, started = await world.log.read(f"task-{id}")
    assert started.fact.id == fact and started.fact.at == at
    assert started.fact.event == task.Started(turn=1, attempt=1, worker="w")
    assert started.fact.meta == replace_meta("worker/w", first.fact.id)
    assert started.fact.subject == f"tasks.v1.{world.kind.queue}.{world.kind.name}.started.{id}"


def replace_meta(actor: str, cause: UUID) -> Any:
    return type(META)(
        actor=actor, request_id=META.request_id, correlation_id=META.correlation_id, causation_id=cause,
        traceparent=META.traceparent,
    )  # fmt: skip


async def test_a_claim_leaves_alone_what_is_not_queued_or_not_known(world: World) -> None:
    scheduled = await world.new(due_at=now() + timedelta(hours=1))
    cancelled = await world.new()
    await world.cancel(cancelled)
    queued = await world.new()
    facts = [new_id() for _ in range(4)]
    ids = [scheduled, cancelled, new_id(), queued]
    assert await world.tasks.claim(ids, facts, "w", ["another_kind"], LEASE, now()) == []
    assert [held.id for held in await world.claim(*ids)] == [queued]


async def test_many_claims_of_one_task_take_it_once(world: World) -> None:
    ids = [await world.new() for _ in range(10)]
    answers = await asyncio.gather(*(world.claim(*ids) for _ in range(6)))
    assert sorted(held.id for answer in answers for held in answer) == sorted(ids)


FENCES: list[tuple[str, dict[str, Any], bool]] = [
    ("running", {}, True),
    ("running", {"turn": 1}, True),
    ("running", {"turn": 1, "uncancelled": True}, True),
    ("running", {"version": 2}, True),
    ("running", {"turn": 2}, False),
    ("running", {"turn": 0}, False),
    ("running", {"version": 1}, False),
    ("running", {"version": 3}, False),
    ("running", {"expired": True}, False),
    ("running", {"version": 2, "expired": True}, False),
    ("silent", {"version": 2, "expired": True}, True),
    ("silent", {"turn": 1}, True),
    ("to be cancelled", {"turn": 1}, True),
    ("to be cancelled", {"turn": 1, "uncancelled": True}, False),
    ("to be cancelled", {"version": 2}, False),
    ("queued", {"turn": 0}, False),
    ("queued", {"turn": 1}, False),
    ("queued", {"expired": True}, False),
    ("taken over", {"turn": 1}, False),
    ("taken over", {"turn": 2}, True),
    ("complete", {"turn": 1}, False),
]


async def standing(world: World, state: str) -> tuple[UUID, Task]:
    """A task in the state, and what its first holder knows of it."""
    if state == "queued":
        id = await world.new()
        return id, await world.row(id)
    id, known = await world.held(GONE if state == "silent" else LEASE)
    match state:
        case "to be cancelled":
            await world.cancel(id)
        case "taken over":
            await world.tasks.settle([making.change(id, known, task.rescue(known, 1), turn=1)], "lifeline")
            await world.claim(id, worker="other")
        case "complete":
            await world.tasks.settle([making.change(id, known, [DONE], turn=1)], "worker/w")
    return id, known


@pytest.mark.parametrize(("state", "fences", "passes"), FENCES)
async def test_a_change_is_written_behind_its_fence_or_not_at_all(
    world: World, state: str, fences: dict[str, Any], passes: bool
) -> None:
    id, known = await standing(world, state)
    before, story = await world.row(id), await world.story(id)
    await world.sequence()
    settled = await world.tasks.settle([making.change(id, known, [DONE], **fences)], "worker/w")
    after = await world.row(id)
    if passes:
        assert settled == {id} and after.status is Status.COMPLETE and after.version == before.version + 1
        assert await world.story(id) == [*story, "Completed"] and await world.sequence() == 1
    else:
        assert settled == set() and after == before
        assert await world.story(id) == story and await world.sequence() == 0


async def test_of_many_changes_each_has_its_own_fence(world: World) -> None:
    pairs = [await world.held() for _ in range(6)]
    changes = [making.change(id, state, [DONE], turn=1 + n % 2) for n, (id, state) in enumerate(pairs)]
    settled = await world.tasks.settle(changes, "worker/w")
    assert settled == {id for n, (id, _) in enumerate(pairs) if n % 2 == 0}
    for id, _ in pairs:
        assert ((await world.row(id)).status is Status.COMPLETE) == (id in settled)


async def test_facts_of_a_change_follow_one_another(world: World) -> None:
    id, state = await world.held()
    await world.tasks.settle([making.change(id, state, task.rescue(state, 1), turn=1)], "lifeline")
    told = [one.fact for one in await world.log.read(f"task-{id}")]
    assert [fact.version for fact in told] == [1, 2, 3, 4]
    assert [fact.meta.causation_id for fact in told[1:]] == [fact.id for fact in told[:-1]]
    assert {fact.meta.actor for fact in told[2:]} == {"lifeline"}
    assert {fact.meta.correlation_id for fact in told} == {META.correlation_id}


async def test_a_result_beats_the_request_to_cancel_that_came_before_it(world: World) -> None:
    id, state = await world.held()
    await world.cancel(id)
    assert await world.tasks.settle([making.change(id, state, [DONE], turn=1)], "worker/w") == {id}
    row = await world.row(id)
    assert row.status is Status.COMPLETE and row.cancel_requested is not None and row.result == {"ok": True}
    assert await world.story(id) == ["Queued", "Started", "CancelRequested", "Completed"]


async def test_a_cancellation_and_a_result_at_once_leave_one_end(world: World) -> None:
    for _ in range(10):
        id, state = await world.held()
        wanted = making.entry(id, state, task.cancel(state, "ops"))
        await asyncio.gather(
            world.log.append(wanted),
            world.tasks.settle([making.change(id, state, [DONE], turn=1)], "worker/w"),
            return_exceptions=True,
        )
        story = await world.story(id)
        assert story in (["Queued", "Started", "Completed"], ["Queued", "Started", "CancelRequested", "Completed"])


async def test_a_claim_and_a_cancellation_at_once_leave_one_of_them(world: World) -> None:
    for _ in range(10):
        id = await world.new()
        state = await world.row(id)
        wanted = world.log.append(making.entry(id, state, task.cancel(state, "ops")))
        claimed, refused = await asyncio.gather(world.claim(id), wanted, return_exceptions=True)
        story = await world.story(id)
        assert story == (["Queued", "Started"] if claimed else ["Queued", "Cancelled"])
        assert isinstance(refused, Conflict) == bool(claimed)


async def test_a_heartbeat_extends_what_is_held_and_tells_of_cancelling(world: World) -> None:
    id, state = await world.held(GONE)
    assert id in {one for one, _ in await world.tasks.expired(10_000)}
    progress = Progress(done=1, total=4, unit="pages", note="so far")
    assert await world.tasks.extend([(id, 1, progress), (new_id(), 1, None)], LEASE) == {id: False}
    assert id not in {one for one, _ in await world.tasks.expired(10_000)}
    assert await world.tasks.extend([(id, 1, None)], LEASE) == {id: False}
    row = await world.row(id)
    assert row.progress == progress and row.version == state.version
    await world.cancel(id)
    assert await world.tasks.extend([(id, 1, None)], LEASE) == {id: True}
    assert await world.tasks.extend([(id, 2, None)], LEASE) == {}
    await world.tasks.settle([making.change(id, state, [DONE], turn=1)], "worker/w")
    assert await world.tasks.extend([(id, 1, None)], LEASE) == {}


async def test_what_waits_in_a_queue_is_found_oldest_first(world: World) -> None:
    at = now()
    ids = [await world.new(at=at - timedelta(seconds=age)) for age in (10, 30, 20)]
    await world.new(due_at=at + timedelta(hours=1))
    queue, kind = world.kind.queue, world.kind.name
    assert await world.tasks.queued([queue], [kind], 10) == [ids[1], ids[2], ids[0]]
    assert await world.tasks.queued([queue, "other"], [kind], 2) == [ids[1], ids[2]]
    assert await world.tasks.queued(["other"], [kind], 10) == await world.tasks.queued([queue], ["other"], 10) == []


async def test_what_is_due_is_found_by_the_callers_clock(world: World) -> None:
    at = now() - timedelta(days=300)
    ids = [await world.new(at=at, due_at=at + timedelta(seconds=s)) for s in (30, 10, 20)]
    due = await world.tasks.due(at + timedelta(seconds=20), 10)
    assert [id for id, _ in due] == [ids[1], ids[2]] and all(state.kind == world.kind.name for _, state in due)
    assert [id for id, _ in await world.tasks.due(at + timedelta(seconds=60), 1)] == [ids[1]]
    assert await world.tasks.next_due() == at + timedelta(seconds=10)
    for id in ids:
        await world.cancel(id)
    assert await world.tasks.due(at + timedelta(seconds=60), 10) == []


async def test_unheard_is_what_was_delivered_or_has_left_the_stream_and_still_waits(world: World) -> None:
    ids = [await world.new(at=now() - timedelta(seconds=60 - nth)) for nth in range(3)]
    queue = world.kind.queue
    assert await world.tasks.unheard(queue, 10**9, 10**9, None, 10) == ([], None)  # no position: nothing to be heard
    await world.sequence()
    positions = [recorded.position for id in ids for recorded in await world.log.read(f"task-{id}")]

    async def unheard(delivered: int, first: int, queue: str = queue) -> list[UUID]:
        found, after = await world.tasks.unheard(queue, delivered, first, None, 10)
        assert after is None and [positions[ids.index(id)] for id, _ in found] == [position for _, position in found]
        return [id for id, _ in found]

    second = positions[1]
    assert second is not None
    assert await unheard(second, 0) == ids[:2]
    assert await unheard(0, second) == ids[:1]
    assert await unheard(0, 0) == await unheard(10**9, 10**9, "other") == []
    await world.claim(ids[0])
    assert await unheard(second, 0) == [ids[1]]


async def test_a_look_for_the_unheard_goes_on_where_the_last_one_ended(world: World) -> None:
    at = now()
    ids = [await world.new(at=at + timedelta(seconds=nth // 3)) for nth in range(10)]  # some are due at the same moment
    await world.sequence()
    found: list[UUID] = []
    after, looks = None, 0
    while after is not None or looks == 0:
        page, after = await world.tasks.unheard(world.kind.queue, 10**9, 0, after, 4)
        found, looks = found + [id for id, _ in page], looks + 1
    assert found == ids and looks == 3


async def test_the_row_is_the_fold_of_its_stream(world: World) -> None:
    error = Error(type="busy", detail="later")
    id, one = await world.held()
    stumbled: list[task.Event] = [task.Stumbled(error=error, again_at=now())]
    await world.tasks.settle([making.change(id, one, stumbled, now(), turn=1, uncancelled=True)], "worker/w")
    two = await world.row(id)
    await world.tasks.settle([making.change(id, two, task.dispatch(two, now()), now(), version=3)], "lifeline")
    [held] = await world.claim(id, lease_s=GONE)
    three = held.task
    await world.tasks.settle([making.change(id, three, task.rescue(three, 2), now(), expired=True)], "lifeline")
    [held] = await world.claim(id)
    progressed: list[task.Event] = [task.Progressed(done=1, total=2)]
    await world.tasks.settle([making.change(id, held.task, progressed, now(), turn=3)], "worker/w")
    await world.cancel(id)
    cancelled = task.finish(await world.row(id), world.kind, 3, task.outcome.Stopped(), now(), 0.5)
    await world.tasks.settle([making.change(id, await world.row(id), cancelled, now(), turn=3)], "worker/w")
    told = [(one.fact.event, one.fact.at) for one in await world.log.read(f"task-{id}")]
    assert len(told) == 11
    assert await world.row(id) == task.fold((event, at) for event, at in told if isinstance(event, task.Event))


async def test_leases_run_out_by_a_clock_that_can_be_asked(world: World) -> None:
    assert abs(await world.tasks.clock() - now()) < timedelta(seconds=5)


async def test_what_waits_for_others_is_neither_taken_nor_due_and_is_released_by_a_change(world: World) -> None:
    needed = await world.new()
    id = await world.new(needs=(needed,))
    before = await world.row(id)
    assert (before.status, before.needs, await world.story(id)) == (Status.WAITING, (needed,), ["Waiting"])
    assert await world.claim(id) == []
    assert id not in [due for due, _ in await world.tasks.due(now() + timedelta(days=9), 1_000)]
    assert await world.tasks.queued([world.kind.queue], [world.kind.name], 10) == [needed]
    assert await world.tasks.settle([making.change(id, before, [task.Queued()], now(), version=1)], "system") == {id}
    assert [held.id for held in await world.claim(id)] == [id]


async def test_whoever_writes_on_in_a_stream_second_is_refused_alone(world: World) -> None:
    thing = new_id()
    entries = [_of_item(thing, 1), *(_of_item(thing, 2) for _ in range(6)), *(_of_item(new_id(), 1) for _ in range(60))]
    await world.log.append(entries[0])
    results = await asyncio.gather(*map(world.log.append, entries[1:]), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results[:6]) == ["Conflict"] * 5 + ["NoneType"]
    assert set(results[6:]) == {None}
    assert len(await world.log.read(f"item-{thing}")) == 2


def _of_item(id: UUID, version: int) -> Entry:
    lamp = item.Details(name="Lamp", description="", price_cents=1, currency="EUR")
    event = item.Created(details=lamp) if version == 1 else item.Deleted(before=lamp)
    return Entry(compose.of_thing(id, version - 1, [event], META, now(), new_id))
