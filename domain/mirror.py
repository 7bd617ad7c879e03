"""The mirror: the ledger, told again in the stream LOG. What the stream holds is compared, never believed.

The loop takes its bus, its ledger and its cursor as arguments, so that a simulation can drive it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from domain.record import Value

MOST_LINES = 1_000  # of one atomic batch, by the server's rule
MOST_BYTES = 4 * 1024 * 1024
LOOK_BACK = 8  # how many ids at the stream's head are compared
PATIENCE = 5  # failed publishes in a row, in a stream that answers, before it is made anew: its files may be gone


class Stored(Value, frozen=True):
    """A fact as it is stored, not decoded: the mirror also carries what a newer program wrote."""

    position: int
    id: str
    stream: str
    version: int
    name: str
    name_version: int
    at: datetime
    subject: str
    data: bytes  # JSON, without what is personal
    correlation_id: str | None
    causation_id: str | None
    traceparent: str | None


class Line(Value, frozen=True):
    """A fact as a message."""

    position: int
    id: str
    subject: str
    headers: dict[str, str]
    payload: bytes
    at: datetime  # when the fact was written


class State(Value, frozen=True):
    first: int  # position
    last: int  # position; `first - 1` where the stream is empty
    messages: int
    epoch: str
    begin: int  # position with which the stream was made, or where it stood when its limits were changed
    full: bool  # its size may have taken the first messages
    created: datetime
    young: datetime  # its age has taken nothing that was stored after this


class Bus(Protocol):
    """What the mirror needs of JetStream; every call may fail with an exception of the bus."""

    async def state(self) -> State | None:
        """The stream as it stands; None where there is none."""

    async def id_at(self, position: int) -> str | None:
        """The id of the message there; None where there is no message, "" where the message has no id."""

    async def create(self, first: int, epoch: str) -> None:
        """Make the stream, empty; its first message will have the position `first`."""

    async def delete(self) -> None:
        """Delete the stream, and with it its consumers; there may be none."""

    async def publish(self, lines: Sequence[Line], last: int) -> None:
        """Store the lines behind the position `last`, all of them in order. Where the stream's last position is another
        one, it fails. After a failure any first part of the lines may be stored."""


class Ledger(Protocol):
    """What the mirror needs of Postgres."""

    async def lines(self, after: int, limit: int) -> Sequence[Line]:
        """The next facts after a position, at most `limit`, fewer where they are large; none where there are none."""

    async def head(self) -> int:
        """The last position; 0 where there is none."""

    async def refill_from(self) -> int:
        """Where a stream that is made anew begins."""

    async def leads(self) -> bool:
        """Whether this relay still leads, asked of Postgres now."""

    async def epoch(self) -> str:
        """Which history the positions belong to."""

    async def new_epoch(self, reason: str) -> str:
        """Begin a new history, and answer with it."""

    async def reached(self, position: int) -> None:
        """Everything up to the position was acknowledged by the bus."""

    async def reached_last(self) -> int:
        """The position that was reached last, by this relay or, as far as it told, by one before; 0 where none is
        known."""


@dataclass(slots=True)
class Mirror:
    """`failures` are the errors of the bus: after one of them it is not known what was stored."""

    bus: Bus
    ledger: Ledger
    failures: tuple[type[Exception], ...]
    say: Callable[..., None]  # ("mirror.refilled", first=…)
    renew: Callable[[], Awaitable[None]]  # makes the consumers anew: the stream is new, or went back, and they with it
    told: Callable[[Sequence[Line]], None] = lambda lines: None  # what the stream has acknowledged
    last: int | None = None  # acknowledged by the stream; None: ask it
    _failed: int = field(default=0)
    _id: str | None = None  # of the fact at `last`
    _joints: dict[int, str] = field(default_factory=dict)  # where publishes began since the last comparison, and its id

    async def step(self) -> int:
        """Mirror the next lines; answers how many. After a failure the next step asks the stream where it stands."""
        try:
            if self.last is None:
                last = await self._resume()
                before = await self.ledger.lines(last - 1, 1) if last else ()
                self.last, self._id = last, before[0].id if before else None
                await self.ledger.reached(self.last)
            lines = bounded(await self.ledger.lines(self.last, MOST_LINES))
            if not lines:
                return 0
            self._failed += 1  # until it is known to be stored
            if self._id is not None:
                self._joints[self.last] = self._id
            await self.bus.publish(lines, self.last)
        except self.failures as error:
            self.last = None
            self.say("mirror.failed", error=str(error), in_a_row=self._failed)
            raise
        self._failed = 0
        self.told(lines)
        self.last, self._id = lines[-1].position, lines[-1].id
        await self.ledger.reached(self.last)
        return len(lines)

    async def verify(self) -> None:
        """Compare the stream's head with the ledger; a difference is mended by the next step."""
        try:
            state = await self.bus.state()
            if state is None or state.last != self.last or await self._foreign(state) or await self._lost(state):
                self.last = None
        except self.failures:
            self.last = None
            raise

    async def _resume(self) -> int:
        """Where the stream really stands; it is made anew where it is not the ledger's."""
        before = await self.ledger.reached_last()  # asked first: meanwhile another relay may still go on
        state = await self.bus.state()
        if state is None:
            return await self._make(await self.ledger.epoch(), "the stream was missing")
        head = await self.ledger.head()
        if state.last > head or await self._foreign(state):
            return await self._replace(f"the stream's position {state.last} is not the ledger's, whose head is {head}")
        if state.epoch != await self.ledger.epoch():
            return await self._remake(await self.ledger.epoch(), "the stream is of another epoch")
        if lost := await self._lost(state):  # what subscribers saw of it is still true: the epoch stays
            return await self._remake(state.epoch, lost)
        if self._failed >= PATIENCE:
            return await self._remake(state.epoch, "the stream answers, but stores nothing")
        if state.last < before:  # an old copy was put back, or it lost its end
            self.say("mirror.went_back", last=state.last, before=before)
            await self.renew()
        return state.last

    async def _foreign(self, state: State) -> bool:
        """Whether the last messages are not those of the ledger, or one that a publish began behind: within one publish
        nothing foreign has room."""
        begin = max(state.first, state.last - LOOK_BACK + 1)
        if state.messages == 0 or begin > state.last:
            return False
        lines = {line.position: line.id for line in await self.ledger.lines(begin - 1, state.last - begin + 1)}
        window = {position: lines.get(position) for position in range(begin, state.last + 1)}
        joints = {position: id for position, id in self._joints.items() if state.first <= position <= state.last}
        for position, id in sorted((joints | window).items(), reverse=True):
            found = await self.bus.id_at(position)
            if found is not None and found != id:
                return True
        self._joints.clear()
        return False

    async def _lost(self, state: State) -> str | None:
        """What the stream lacks and should not, in words."""
        if hole := missing(state):
            return hole
        gone = await self.ledger.lines(state.first - 2, 1) if state.first > state.begin else ()
        return begins_late(state, gone[0].at) if gone else None

    async def _replace(self, reason: str) -> int:
        """The history that the stream told was not ours, or is no longer: subscribers learn it by a new epoch."""
        if not await self.ledger.leads():
            raise NotLeading("Another relay leads.")
        return await self._remake(await self.ledger.new_epoch(reason), reason)

    async def _remake(self, epoch: str, reason: str) -> int:
        if not await self.ledger.leads():
            raise NotLeading("Another relay leads.")
        await self.bus.delete()
        return await self._make(epoch, reason)

    async def _make(self, epoch: str, reason: str) -> int:
        first = await self.ledger.refill_from()
        await self.bus.create(first, epoch)
        self._failed = 0
        self._joints.clear()
        self.say("mirror.made", reason=reason, first=first, epoch=epoch)
        await self.renew()
        return first - 1


class NotLeading(Exception):
    """Before anything that cannot be taken back the leader asks, and it leads no more."""


def missing(state: State) -> str | None:
    """Says that messages are missing in the midst of the stream, if they are."""
    should = state.last - state.first + 1
    if state.messages == should:
        return None
    return f"the stream has {state.messages} of the {should} messages from {state.first} to {state.last}"


def begins_late(state: State, at: datetime) -> str | None:
    """Says that the stream lost its first messages, if neither age nor size took them.

    `at` is when the fact before its first one was written: its message was stored after that, and in this stream."""
    if state.first <= state.begin or state.full or max(at, state.created) <= state.young:
        return None
    return f"the stream begins at {state.first}, and neither age nor size took {state.first - 1}"


def bounded(lines: Sequence[Line]) -> Sequence[Line]:
    """As many lines as one batch may hold, by number and by bytes; at least one."""
    room = MOST_BYTES
    for number, line in enumerate(lines):
        room -= len(line.payload) + 1024
        if number and room < 0:
            return lines[:number]
    return lines
