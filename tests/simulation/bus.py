"""The simulated NATS: one stream by the rules of JetStream, its durables, and bells that nobody promises to carry.

A publish names the position before it, or is refused. Pipelined singles are stored up to any one of them. What its
sender gave up may be stored later. A delivery that is not acknowledged comes again. An acknowledgement names a position
only, so a stale one counts, too."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from adapters.nats.api import WRONG_LAST_SEQUENCE, ApiError, NoAnswer
from adapters.nats.fetch import NEWEST, Bell
from adapters.nats.stream import FEW
from domain.mirror import Line, State
from tests.making import NOON
from tests.simulation.wire import Answer, Scene, ask, simply

T = TypeVar("T")
ACK_WAIT_S = 3.0
EXPIRES_S = 5.0  # of a request for messages
NO_STREAM, NO_CONSUMER = 10059, 10014
BEGUN = NOON - timedelta(days=1)


def silent() -> Exception:
    return NoAnswer("NATS did not answer.")


@dataclass
class Message:
    id: str
    subject: str
    version: int


@dataclass
class Durable:
    """One queue's consumer: what it has delivered, and until when that may be acknowledged."""

    delivered: int
    start: int
    pending: dict[int, float] = field(default_factory=dict)

    def next(self, stream: "Stream", queue: str, most: int, now: float) -> list[int]:
        overdue = [at for at, until in self.pending.items() if until <= now and at in stream.messages][:most]
        fresh: list[int] = []
        for position in range(max(self.delivered + 1, stream.first), stream.last + 1):
            if len(overdue) + len(fresh) == most:
                break
            message = stream.messages.get(position)
            if (
                message is not None
                and message.subject.startswith(f"tasks.v1.{queue}.")
                and ".queued." in message.subject
            ):
                fresh.append(position)
                self.delivered = position
        for position in [*overdue, *fresh]:
            self.pending[position] = now + ACK_WAIT_S
        return [*overdue, *fresh]


@dataclass
class Stream:
    first: int
    epoch: str
    created: datetime
    begin: int = 0
    last: int = 0
    messages: dict[int, Message] = field(default_factory=dict)
    durables: dict[str, Durable] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.begin, self.last = self.first, self.first - 1

    def store(self, message: Message) -> None:
        self.last += 1
        self.messages[self.last] = message

    def purge(self, first: int) -> None:
        self.first = first
        self.messages = {at: message for at, message in self.messages.items() if at >= first}

    def truncate(self, last: int) -> None:
        """The server lost its tail: what was not synced."""
        self.messages = {at: message for at, message in self.messages.items() if at <= last}
        self.last = last
        self.restart()

    def restart(self) -> None:
        """A durable that stood beyond the stream's end begins at that end."""
        for durable in self.durables.values():
            durable.delivered = min(durable.delivered, self.last)


@dataclass
class Bus:
    scene: Scene
    up: bool = True
    stream: Stream | None = None
    acknowledged: int = 0  # the last position that it has ever answered for
    stores: Callable[[Line, int], None] = lambda line, position: None  # looks at every line as it is stored
    acks: Callable[[Bell], None] = lambda bell: None  # looks at every acknowledgement as it comes in
    _waiting: list[Callable[[], None]] = field(default_factory=list)  # for something to fetch

    async def ask(self, effect: Callable[[], T]) -> T:
        return await ask(self.scene, simply(effect, late=True), silent, lambda: self.up)

    # What the mirror asks.

    def state(self) -> State | None:
        if (s := self.stream) is None:
            return None
        self.acknowledged = max(self.acknowledged, s.last)
        return State(s.first, s.last, len(s.messages), s.epoch, s.begin, False, created=s.created, young=BEGUN)

    def id_at(self, position: int) -> str | None:
        message = self.stream.messages.get(position) if self.stream else None
        return None if message is None else message.id

    def create(self, first: int, epoch: str) -> None:
        if self.stream is not None and (self.stream.epoch, self.stream.begin) != (epoch, first):
            raise ApiError("STREAM.CREATE", 10058, "stream name already in use with a different configuration")
        if self.stream is None:
            self.scene.note("stream made", first=first)
            self.stream = Stream(first, epoch, NOON + timedelta(seconds=self.scene.loop.now))

    def delete(self) -> None:
        self.stream = None

    def publish(self, lines: Sequence[Line], last: int) -> None:
        trouble = self.scene.weather
        if self.scene.strikes(trouble.late):
            self.scene.note("late publish", last=last)
            self.scene.loop.later(self.scene.random.random() * 4, self.take, lines, last)
            raise silent()
        if len(lines) <= FEW and self.scene.strikes(trouble.before):
            self.scene.note("stored in part")
            self.take(lines[: self.scene.random.randrange(len(lines))], last)
            raise silent()
        if not self.take(lines, last):
            self.scene.note("publish refused", last=last)
            raise ApiError("publish", WRONG_LAST_SEQUENCE, "wrong last sequence")
        self.acknowledged = max(self.acknowledged, last + len(lines))

    def take(self, lines: Sequence[Line], last: int) -> bool:
        if self.stream is None or not self.expected(last):
            return False
        for line in lines:
            self.stores(line, self.stream.last + 1)
            self.store(Message(line.id, line.subject, int(line.headers["ce-sequence"])))
        return True

    def store(self, message: Message) -> None:
        if self.stream is not None:
            self.stream.store(message)
            waiting, self._waiting = self._waiting, []
            for look in waiting:
                self.scene.loop.later(0.0, look)

    def expected(self, last: int) -> bool:
        """The rule that makes the sequence the position."""
        return self.stream is not None and self.stream.last == last

    # What workers ask.

    async def fetch(self, queue: str, most: int) -> list[Bell]:
        """What the durable has, as soon as it has something; nothing after EXPIRES_S."""
        until = self.scene.loop.now + EXPIRES_S

        def act(answer: Answer[list[Bell]]) -> None:
            try:
                found = self._next(queue, most)
            except (ApiError, NoAnswer) as error:
                answer.fail(error)
                return
            if found or self.scene.loop.now >= until:
                answer.give(found)
            else:
                self._wait(lambda: act(answer))

        return await ask(self.scene, act, silent, lambda: self.up)

    def _wait(self, look: Callable[[], None]) -> None:
        """Until something is stored; and what is overdue is looked for every second."""
        over = False

        def once() -> None:
            nonlocal over
            if not over:
                over = True
                look()

        self._waiting.append(once)
        self.scene.loop.later(1.0, once)

    def _next(self, queue: str, most: int) -> list[Bell]:
        if not self.up:
            raise silent()
        if self.stream is None or queue not in self.stream.durables:
            raise ApiError("CONSUMER.MSG.NEXT", NO_CONSUMER, "consumer not found")
        found = self.stream.durables[queue].next(self.stream, queue, most, self.scene.loop.now)
        self.scene.random.shuffle(found)
        return [self._bell(queue, position, self.stream.messages[position]) for position in found]

    def _bell(self, queue: str, position: int, message: Message) -> Bell:
        task = UUID(message.subject.rpartition(".")[2])
        return Bell(task, message.version or NEWEST, f"{queue}.{position}")

    def acknowledge(self, bell: Bell) -> None:
        self.acks(bell)
        queue, _, position = bell.reply.rpartition(".")
        if self.stream is not None and queue in self.stream.durables:
            self.stream.durables[queue].pending.pop(int(position), None)

    # What the relay asks for the workers.

    def ensure(self, queue: str, start: int) -> bool:
        if self.stream is None:
            raise ApiError("CONSUMER.DURABLE.CREATE", NO_STREAM, "stream not found")
        made = not self.has(queue)
        if made:
            self.scene.note("durable made", start=start)
            self.stream.durables[queue] = Durable(start - 1, start)
        return made

    def drop(self, queue: str) -> None:
        if self.stream is not None:
            self.stream.durables.pop(queue, None)

    def has(self, queue: str) -> bool:
        """Whether there is one that did not go back behind its beginning."""
        found = self.stream.durables.get(queue) if self.stream is not None else None
        return found is not None and found.delivered >= found.start - 1

    def delivered(self, queue: str) -> int | None:
        return self.stream.durables[queue].delivered if self.stream and queue in self.stream.durables else None
