"""One life of the service from one seed: processes, servers, clients, a storm, and calm after it.

While it storms anything may happen; `checks` look at every step. In the calm everything must come to its end within
PATIENCE_S, whatever had happened before."""

from collections import Counter
from functools import partial
from itertools import count
from random import Random

from adapters.nats.fetch import Bell
from domain.mirror import Line
from domain.task import Status
from infra.clock import Clock
from tests.simulation import chaos, intents
from tests.simulation.bus import Bus
from tests.simulation.checks import Broken, Checks
from tests.simulation.loop import Loop, Process
from tests.simulation.nats import Link, Switchboard
from tests.simulation.postgres import Postgres, done
from tests.simulation.roles import FOLD, RELEASE, Outside, play
from tests.simulation.rows import Rows
from tests.simulation.wire import Scene, Weather

SEATS = ("relay 1", "relay 2", "worker 1", "worker 2", "reader 1", "reader 2")
PATIENCE_S = 60.0  # from the last blow to the end of all tasks
LOOK_S = 0.2
BEGIN_S = 0.5  # within which all processes are started


class World:
    def __init__(self, seed: int, trace: list[str] | None = None) -> None:
        random = Random(seed)
        self.loop = Loop(random)  # type: ignore[abstract]  # what nobody asks of it, it has not
        self.scene = Scene(random, self.loop, Weather(), trace=trace)
        self.checks = Checks()
        self.postgres = Postgres(self.scene, self.checks, told=self._told)
        self.bus = Bus(self.scene, stores=self._stored, acks=self._acknowledged)
        self.board = Switchboard(self.bus)
        self.outside = Outside(self.scene, self.postgres, Link(self.bus, self.board), count(1))
        self.clock: Clock = self.outside.clock(0.0)
        self.processes: dict[str, Process] = {}  # by seat: "worker 2"
        self.storm_s = 1.5 + random.random() * 5
        self.intents = intents.wanted(random, self.storm_s, self.clock)
        self._names = count(1)
        self._over = False
        self._last_blow = random.random() < 0.15  # a forged message, after which nothing more is written
        self.recovered_s = 0.0  # from the end of the storm until nothing was left to do

    def live(self) -> Counter[str]:
        """Raises Broken, or whatever a process dies of that should live; answers with what happened."""
        random = self.scene.random
        for seat in SEATS[: 6 if random.random() < 0.3 else 5]:
            self.loop.later(random.random() * BEGIN_S, self._start, seat)
        clients = Process("clients")
        for intent in self.intents:
            self.loop.start(clients, intents.pursue(intent, Rows(self.postgres), self.clock))
        self._brew()
        self.loop.later(self.storm_s, self._settle_down)
        try:
            self.loop.run(lambda: self._over)
        finally:
            self.loop.close()
        self.scene.happened["steps"] = self.loop.steps
        self.scene.happened["seconds"] = round(self.loop.now)
        self.scene.happened["facts"] = len(self.postgres.lines)
        self.scene.happened.update({f"task.{name}": number for name, number in self.checks.events.items()})
        return self.scene.happened

    def any_process(self) -> Process:
        """Workers above all: they hold what can be lost."""
        seats = [seat for seat in self.processes if self.scene.random.random() < (0.9 if "worker" in seat else 0.4)]
        process = self.processes[self.scene.random.choice(seats or list(self.processes))]
        self.scene.tell("it falls on", who=process.name)
        return process

    # Processes.

    def _start(self, seat: str) -> None:
        role = seat.partition(" ")[0]
        process = Process(f"{role}-{next(self._names)}", partial(self._died, seat))
        self.processes[seat] = process
        wrong_s = self.scene.random.uniform(-0.5, 0.5) if role == "worker" else 0.0
        main = self.loop.start(process, play(self.outside, role, process.name, wrong_s))
        main.add_done_callback(lambda _: self._ended(process, main), context=self.loop.world.context)

    def _died(self, seat: str, process: Process) -> None:
        """By kill -9, or by itself: the servers notice, and somebody starts it again."""
        self.scene.note("died", who=process.name)
        self.loop.later(self.scene.random.random() * 0.3, self._forget, process)
        self.loop.later(0.1 + self.scene.random.random() * 1.5, self._start, seat)

    def _ended(self, process: Process, main: object) -> None:
        error = main.exception()  # type: ignore[attr-defined]
        if error is not None:
            raise Broken(f"{process.name} ended: {error!r}") from error
        self.loop.kill(process)

    def _forget(self, process: Process) -> None:
        for transaction in [one for one in self.postgres.transactions if one.of(process)]:
            transaction.roll_back()

    # Storm and calm.

    def _brew(self) -> None:
        random, weather = self.scene.random, self.scene.weather
        weather.before, weather.after = random.choice([0, 0, 0.02, 0.08]), random.choice([0, 0, 0.02, 0.08])
        weather.slow, weather.late = random.choice([0, 0, 0.01]), random.choice([0, 0.1, 0.3])
        weather.hiccups = random.choice([0, 0.02, 0.1])
        for _ in range(random.randrange(13)):
            self.loop.later(BEGIN_S + random.random() * (self.storm_s - BEGIN_S), chaos.strike, self)

    def _settle_down(self) -> None:
        self.scene.note("calm")
        weather = self.scene.weather
        weather.before = weather.after = weather.slow = weather.hiccups = weather.late = 0.0
        self.postgres.start()
        self.bus.up = True
        for process in self.processes.values():
            process.dies_in = 0
            self.loop.thaw(process)
        set_back_s = max(-self.postgres.jumped_s, 0.0)  # what is due waits for that clock
        self._look(self.loop.now + PATIENCE_S + set_back_s)

    def _look(self, until: float) -> None:
        """Is everything at its end?"""
        wrong = self._unsettled()
        if wrong is None and self._last_blow:
            self._last_blow = False
            chaos.forge(self)
            self.loop.later(LOOK_S, self._look, until)
        elif wrong is None:
            self._judge()
            self.recovered_s = self.loop.now - self.storm_s
            self._over = True
        elif self.loop.now > until:
            raise Broken(f"After a calm of {self.loop.now - self.storm_s:.0f} s: {wrong}.")
        else:
            self.loop.later(LOOK_S, self._look, until)

    def _unsettled(self) -> str | None:
        """What is still to come, in words."""
        open_ones = [stream for stream, state in self.checks.folds.items() if state.finished_at is None]
        head = len(self.postgres.lines)
        if not all(intent.known.is_set() for intent in self.intents):
            return "a client has no answer"
        if open_ones or self.postgres.outbox:
            told = ", ".join(f"{stream} is {self.checks.folds[stream].status}" for stream in open_ones)
            return told or "facts have no number"
        for reader in (FOLD, RELEASE):
            if self.postgres.cursors.get(reader, 0) < head:
                return f"the reader {reader} stands at {self.postgres.cursors.get(reader, 0)} of {head}"
        if self.postgres.cursors.get("mirror") != head:
            return f"the mirror's cursor is {self.postgres.cursors.get('mirror')} of {head}"
        return self._unlike()

    def _unlike(self) -> str | None:
        """How the stream differs from the ledger."""
        stream, lines = self.bus.stream, self.postgres.lines
        if stream is None:
            return "there is no stream"
        ids = [message.id for _, message in sorted(stream.messages.items())]
        if stream.last != len(lines) or ids != [line.id for line in lines[stream.first - 1 :]]:
            return f"the stream from {stream.first} to {stream.last} is not the ledger's, whose head is {len(lines)}"
        return None

    def _judge(self) -> None:
        for intent in self.intents:
            intents.kept(intent, self.checks)
        cursor = self.postgres.cursors.get(FOLD, 0)
        self.checks.balanced(done(self.postgres.memory.ledger(cursor, 10**6)))
        self.checks.require(self.checks.open == 0, "Something is open.")
        unheard = self.loop.unheard()
        self.checks.require(unheard is None, f"Nobody heard of {unheard!r}.")
        known = {f"task-{intent.id}" for intent in self.intents}
        self.checks.require(set(self.checks.folds) <= known, "There is a task that nobody asked for.")

    # At every step.

    def _stored(self, line: Line, position: int) -> None:
        self.checks.require(line.position == position, f"The fact {line.position} is stored at {position}.")

    def _told(self, position: int) -> None:
        """The mirror's cursor tells of nothing that the stream has not answered for."""
        held = self.bus.stream.last if self.bus.stream else 0
        reached = max(self.bus.acknowledged, held)
        self.checks.require(
            position <= reached, f"The mirror's cursor is {position}, and the stream reached {reached}."
        )

    def _acknowledged(self, bell: Bell) -> None:
        """What is acknowledged has been claimed, or was found locked, or is past."""
        row = self.postgres.row(bell.task)
        waits = row is not None and row.status is Status.QUEUED and row.version <= bell.version
        passed_by = row is not None and (bell.task, row.version) in self.postgres.skipped
        self.checks.require(
            not waits or passed_by or bell.version == 2**31, f"{bell.task} waits, and its bell is gone."
        )
