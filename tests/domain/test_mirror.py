"""Does the stream become the ledger again, whatever happens to it? A seeded schedule of faults over a simulated bus."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from msgspec.structs import replace

from domain.mirror import LOOK_BACK, MOST_BYTES, MOST_LINES, Line, Mirror, NotLeading, State, bounded

SEEDS = 600
MAX_AGE = timedelta(days=7)
EVENTS = 60


class BusError(Exception):
    """What a bus says when it refuses, or does not answer."""


class Crash(Exception):
    """The mirror's process ends here."""


@dataclass
class Stream:
    first: int
    epoch: str
    created: datetime
    ids: dict[int, str] = field(default_factory=dict)
    stored: dict[int, datetime] = field(default_factory=dict)
    last: int = 0
    begin: int = 0

    def __post_init__(self) -> None:
        self.begin, self.last = self.first, self.first - 1

    def store(self, id: str, at: datetime) -> None:
        self.last += 1
        self.ids[self.last], self.stored[self.last] = id, at

    def begin_at(self, first: int) -> None:
        self.first = first
        self.ids = {position: id for position, id in self.ids.items() if position >= first}


@dataclass
class Time:
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def pass_(self, span: timedelta) -> None:
        self.now += span


@dataclass
class SimulatedBus:
    """Stores by the rule of JetStream: a publish names the last position before it, or is refused."""

    random: Random
    time: Time
    trouble: float = 0.0
    stream: Stream | None = None
    acknowledged: int = 0  # the last position that the bus has ever answered for
    late: list[tuple[list[str], int]] = field(default_factory=list)

    async def state(self) -> State | None:
        self._before()
        if (s := self.stream) is None:
            return None
        self.acknowledged = max(self.acknowledged, s.last)
        young = self.time.now - 0.9 * MAX_AGE
        return State(s.first, s.last, len(s.ids), s.epoch, s.begin, full=False, created=s.created, young=young)

    async def id_at(self, position: int) -> str | None:
        self._before()
        return self.stream.ids.get(position) if self.stream else None

    async def create(self, first: int, epoch: str) -> None:
        self._before()
        assert self.stream is None, "A stream that is there cannot be made."
        self.stream = Stream(first, epoch, self.time.now)
        self._after()

    async def delete(self) -> None:
        self._before()
        self.stream = None
        self._after()

    async def publish(self, lines: Sequence[Line], last: int) -> None:
        self._before()
        ids = [line.id for line in lines]
        if self._unlucky(3):  # too late for its sender, and stored all the same, some day
            self.late.append((ids, last))
            raise BusError("silent")
        if self._unlucky(3):  # of pipelined singles some are stored
            self.take(ids[: self.random.randrange(len(ids))], last)
            raise BusError("partly")
        if not self.take(ids, last):
            raise BusError("wrong last sequence")
        self._after()
        self.acknowledged = max(self.acknowledged, last + len(ids))

    def take(self, ids: Sequence[str], last: int) -> bool:
        if self.stream is None or self.stream.last != last:
            return False
        for id in ids:
            self.stream.store(id, self.time.now)
        return True

    def expire(self) -> None:
        """What is older than it may be goes."""
        if (s := self.stream) is not None:
            old = [position for position in s.ids if s.stored[position] <= self.time.now - MAX_AGE]
            s.begin_at(max(old, default=s.first - 1) + 1)

    def _unlucky(self, share: float = 1.0) -> bool:
        return self.random.random() < self.trouble / share

    def _before(self) -> None:
        if self._unlucky(4):
            raise Crash
        if self._unlucky():
            raise BusError("refused")

    def _after(self) -> None:
        if self._unlucky():
            raise BusError("the acknowledgement was lost")


@dataclass
class SimulatedLedger:
    random: Random
    time: Time
    ids: list[str] = field(default_factory=list)
    written: dict[str, datetime] = field(default_factory=dict)
    epochs: list[tuple[str, int]] = field(default_factory=lambda: [("epoch-0", 0)])
    cursor: int = 0
    made: int = 0
    window: int = 40
    leader: bool = True

    def append(self, count: int) -> None:
        for _ in range(count):
            self.made += 1
            self.ids.append(f"fact-{self.made}")
            self.written[self.ids[-1]] = self.time.now

    def restore(self, length: int) -> None:
        """A backup: what came after it is lost, and its positions are used again."""
        del self.ids[length:]
        self.epochs = [self.epochs[0], *(pair for pair in self.epochs[1:] if pair[1] <= length)]
        self.cursor = min(self.cursor, length)

    async def lines(self, after: int, limit: int) -> Sequence[Line]:
        found = enumerate(self.ids[after : after + min(limit, 25)], after + 1)
        subject = "events.v1.thing.made"
        return [Line(position, id, f"{subject}.{position}", {}, b"{}", self.written[id]) for position, id in found]

    async def head(self) -> int:
        return len(self.ids)

    async def refill_from(self) -> int:
        oldest_open = self.random.randint(1, len(self.ids) + 1)
        return max(min(len(self.ids) - self.window + 1, oldest_open), 1)

    async def leads(self) -> bool:
        return self.leader

    async def epoch(self) -> str:
        return self.epochs[-1][0]

    async def new_epoch(self, reason: str) -> str:
        self.made += 1
        self.epochs.append((f"epoch-{self.made}", len(self.ids)))
        return await self.epoch()

    async def reached(self, position: int) -> None:
        self.cursor = position

    async def reached_last(self) -> int:
        return self.cursor


@dataclass
class World:
    random: Random
    bus: SimulatedBus
    ledger: SimulatedLedger
    mirror: Mirror
    said: Counter[str]
    names: set[str]  # every epoch that there was
    durables: int = 0  # how often the consumers were made anew

    @property
    def diverged(self) -> bool:
        """Whether the stream tells of something that is not in the ledger."""
        ids, stream = self.ledger.ids, self.bus.stream
        if stream is None:
            return False
        return stream.last > len(ids) or any(ids[position - 1] != id for position, id in stream.ids.items())

    def restart(self) -> None:
        self.mirror = Mirror(self.bus, self.ledger, (BusError,), self._say, self._renewed)

    async def run(self, verify: bool = False) -> int:
        """One step of the mirror. Only a history that was not ours changes the epoch."""
        diverged, epoch = self.diverged, await self.ledger.epoch()
        moved = 0
        try:
            if verify:
                await self.mirror.verify()
            else:
                moved = await self.mirror.step()
        except (Crash, NotLeading):
            self.restart()
        except BusError:
            pass
        assert diverged or await self.ledger.epoch() == epoch
        self.names.add(await self.ledger.epoch())
        self.check_cursor()
        return moved

    def check_cursor(self) -> None:
        held = self.bus.stream.last if self.bus.stream else 0
        assert self.ledger.cursor <= max(self.bus.acknowledged, held), "The cursor passed what the bus has."

    def _say(self, event: str, **facts: object) -> None:
        self.said[event] += 1

    async def _renewed(self) -> None:
        self.durables += 1


def new_world(seed: int) -> World:
    random, time = Random(seed), Time()
    bus, ledger = SimulatedBus(random, time), SimulatedLedger(random, time)
    ledger.append(random.randrange(30))
    world = World(random, bus, ledger, None, Counter(), {"epoch-0"})  # type: ignore[arg-type]
    world.restart()
    return world


async def happen(world: World) -> str:
    """One event of the schedule; answers its name."""
    random, bus, ledger = world.random, world.bus, world.ledger
    name = random.choices(
        ["step", "verify", "append", "restart", "late", "calm", "trouble", "expire", "deposed", "wipe", "truncate",
         "foreign", "restore", "hole", "purge"],
        [30, 6, 20, 2, 4, 3, 4, 2, 1, 1, 1, 1, 1, 1, 1],
    )[0]  # fmt: skip
    bus.time.pass_(MAX_AGE / 200)
    bus.expire()
    match name, bus.stream:
        case (("step" | "verify"), _):
            await world.run(verify=name == "verify")
        case "append", _:
            ledger.append(random.randint(1, 6))
        case "restart", _:
            world.restart()
        case "late", _ if bus.late:
            bus.take(*bus.late.pop(random.randrange(len(bus.late))))
        case (("calm" | "trouble"), _):
            bus.trouble = 0.0 if name == "calm" else 0.3
        case "deposed", _:
            ledger.leader = not ledger.leader
        case "wipe", _:
            bus.stream = None
        case "expire", _:
            bus.time.pass_(MAX_AGE * random.random())
            bus.expire()
        case "purge", Stream() as stream if stream.ids:
            stream.begin_at(random.randint(stream.first, stream.last + 1))
        case "hole", Stream() as stream if stream.ids:
            stream.ids.pop(random.choice(list(stream.ids)))
        case "truncate", Stream() as stream if stream.ids:
            for position in range(stream.last, max(stream.last - random.randint(1, 12), stream.first - 1), -1):
                stream.ids.pop(position, None)
                stream.last = position - 1
            world.restart()  # the server was down: so was the connection
        case "foreign", Stream() as stream:
            for _ in range(random.randint(1, 3)):
                stream.store(f"foreign-{random.random()}", bus.time.now)
        case "restore", _:
            ledger.restore(random.randint(0, len(ledger.ids)))
            ledger.append(random.choice([0, 0, 5, 30]))
            world.restart()  # Postgres was down: so was the leader's session
    return name


async def live(seed: int) -> World:
    world = new_world(seed)
    for _ in range(EVENTS):
        await happen(world)
    for ids, last in world.bus.late:
        world.bus.take(ids, last)
    world.bus.late.clear()
    world.bus.trouble, world.ledger.leader = 0.0, True
    diverged, before = world.diverged, set(world.names)
    for _ in range(30):  # the faults have ended
        await world.run(verify=True)
        while await world.run():
            pass
    stream = world.bus.stream
    assert stream is not None and not world.diverged
    assert stream.last == len(world.ledger.ids) == world.ledger.cursor
    assert [stream.ids[p] for p in range(stream.first, stream.last + 1)] == world.ledger.ids[stream.first - 1 :]
    assert stream.epoch == await world.ledger.epoch()
    assert (stream.epoch not in before) == diverged
    return world


@pytest.mark.parametrize("part", range(6))
def test_the_stream_equals_the_ledger_after_the_faults(part: int) -> None:
    async def all_seeds() -> None:
        told: Counter[str] = Counter()
        for seed in range(part, SEEDS, 6):
            try:
                told += (await live(seed)).said
            except AssertionError as error:
                raise AssertionError(f"Seed {seed} shows it.") from error
        assert told["mirror.made"] > SEEDS / 6 and told["mirror.failed"] > SEEDS / 6  # the faults did strike

    asyncio.run(all_seeds())


async def filled(count: int = 12) -> World:
    world = new_world(1)
    world.ledger.ids.clear()
    world.ledger.append(count)
    while await world.run():
        pass
    assert world.bus.stream is not None and world.bus.stream.last == count
    return world


async def mended(world: World) -> Stream:
    await world.run(verify=True)
    while await world.run():
        pass
    assert world.bus.stream is not None and not world.diverged
    assert world.bus.stream.last == len(world.ledger.ids)
    return world.bus.stream


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_stream_that_went_back_is_filled_again_and_its_consumers_made_anew(restarted: bool) -> None:
    """Though nothing is written, and whoever finds it so may have begun after that."""
    world = await filled()
    assert world.bus.stream
    for position in (11, 12):
        del world.bus.stream.ids[position]
    world.bus.stream.last = 10
    if restarted:
        world.restart()
    assert (await mended(world)).epoch == "epoch-0" and world.durables == 2


@pytest.mark.parametrize("position", [1, 2, 7, 11, 12])
async def test_a_hole_is_filled_again_in_the_same_epoch(position: int) -> None:
    world = await filled()
    assert world.bus.stream
    if position == 1:
        world.bus.stream.begin_at(2)
    else:
        del world.bus.stream.ids[position]
    assert len((await mended(world)).ids) == 12 and world.durables == 2
    assert await world.ledger.epoch() == "epoch-0"


@pytest.mark.parametrize("first", [8, 12, 13])
@pytest.mark.parametrize("restarted", [False, True])
async def test_a_purged_stream_is_filled_again_in_the_same_epoch(first: int, restarted: bool) -> None:
    world = await filled()
    assert world.bus.stream
    world.bus.stream.begin_at(first)
    world.ledger.append(3)
    await world.run()
    if restarted:
        world.restart()
    assert len((await mended(world)).ids) == 15 and world.durables == 2
    assert await world.ledger.epoch() == "epoch-0"


async def test_what_age_takes_is_not_filled_again() -> None:
    world = await filled()
    for _ in range(40):
        world.bus.time.pass_(MAX_AGE / 7)
        world.bus.expire()
        world.ledger.append(1)
        stream = await mended(world)
    assert world.durables == 1 and stream.first > 30
    world.bus.time.pass_(2 * MAX_AGE)
    world.bus.expire()
    assert (await mended(world)).ids == {} and world.durables == 1


async def test_what_size_takes_is_not_filled_again() -> None:
    world = await filled()
    state = world.bus.state

    async def full() -> State | None:
        found = await state()
        return found and replace(found, full=True)

    world.bus.state = full  # type: ignore[method-assign]
    assert world.bus.stream
    world.bus.stream.begin_at(9)
    assert len((await mended(world)).ids) == 4 and world.durables == 1


async def test_a_foreign_message_at_the_head_makes_a_new_stream_and_a_new_epoch() -> None:
    world = await filled()
    assert world.bus.stream
    world.bus.stream.store("forged", world.bus.time.now)
    world.ledger.append(1)  # at the very position that the forged one took
    assert (await mended(world)).epoch != "epoch-0" and world.durables == 2


async def test_a_foreign_message_behind_which_a_publish_began_is_noticed_though_many_lie_above_it() -> None:
    world = await filled(3)
    stream = world.bus.stream
    assert stream
    stream.ids.popitem()
    stream.last = 2  # the server lost its tail, and nobody has noticed
    stream.store("forged", world.bus.time.now)
    world.ledger.append(1)
    await world.run()
    world.ledger.append(LOOK_BACK + 1)
    await world.run()
    assert (stream.ids[3], stream.last) == ("forged", LOOK_BACK + 5)
    assert (await mended(world)).epoch != "epoch-0"


async def test_a_restored_ledger_makes_a_new_stream_and_a_new_epoch() -> None:
    for again in (0, 4, 20):
        world = await filled()
        world.ledger.restore(8)
        world.ledger.append(again)
        world.restart()
        assert (await mended(world)).epoch != "epoch-0"


async def test_a_lost_stream_is_made_anew_in_the_same_epoch_and_its_consumers_with_it() -> None:
    world = await filled()
    world.bus.stream = None
    assert (await mended(world)).epoch == "epoch-0" and world.durables == 2


async def test_a_stream_that_answers_and_stores_nothing_is_made_anew() -> None:
    world = await filled()
    stuck = world.bus.stream
    assert stuck
    take = world.bus.take
    world.bus.take = lambda ids, last: world.bus.stream is not stuck and take(ids, last)  # type: ignore[method-assign]
    world.ledger.append(1)
    for _ in range(20):
        await world.run()
    assert world.bus.stream is not stuck and world.bus.stream is not None and world.bus.stream.last == 13


async def test_a_stream_that_only_cannot_be_asked_for_a_while_is_left_as_it_is() -> None:
    world = await filled()
    before, state = world.bus.stream, world.bus.state

    async def no_leader() -> State | None:
        raise BusError("JetStream has no leader just now")

    world.restart()
    world.bus.state = no_leader  # type: ignore[method-assign]
    for _ in range(20):
        await world.run(verify=True)
    world.bus.state = state  # type: ignore[method-assign]
    await mended(world)
    assert world.bus.stream is before and world.durables == 1


async def test_who_leads_no_more_deletes_nothing() -> None:
    world = await filled()
    assert world.bus.stream
    world.bus.stream.store("forged", world.bus.time.now)
    world.ledger.leader = False
    await world.run(verify=True)
    with pytest.raises(NotLeading):
        await world.mirror.step()
    assert world.bus.stream is not None and await world.ledger.epoch() == "epoch-0"


def test_a_batch_is_bounded_by_number_and_by_bytes() -> None:
    line = Line(1, "a", "events.v1.thing.made.1", {}, b"x" * (MOST_BYTES // 4), Time().now)
    assert [len(bounded([line] * count)) for count in (0, 1, 3, 9)] == [0, 1, 3, 3]
    assert len(bounded([replace(line, payload=b"x" * (2 * MOST_BYTES))] * 2)) == 1
    assert len(bounded([replace(line, payload=b"")] * MOST_LINES)) == MOST_LINES
