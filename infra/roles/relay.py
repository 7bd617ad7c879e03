"""The relay: numbers the log, mirrors it to NATS, and keeps the lifeline. Any number may run; one leads.

    outbox ──sequence──▶ ledger ──mirror──▶ stream LOG ──▶ durables of the workers
                 (one session: it also holds the leader's lock)

Whoever leads does so on one session of Postgres. If the leader is frozen, Postgres ends its idle session after 3 s, and
a standby goes on; the old one, waking, finds its session gone and stands by."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import asyncpg
import structlog
from nats.errors import Error as NatsError

from adapters.nats.api import ApiError, NoAnswer
from adapters.nats.bells import ring_queue
from adapters.nats.broker import Link
from adapters.nats.names import HEAD_BELL, LOG_BELL
from adapters.postgres.database import AGAIN, GONE, TRANSIENT, Database, Unavailable
from adapters.postgres.kinds import register
from adapters.postgres.leadership import Leadership
from adapters.postgres.log import PostgresLog
from domain.file import Away
from domain.mirror import MOST_LINES, Line, Mirror, NotLeading
from infra import metrics
from infra.app import KINDS, QUEUES
from infra.clock import Clock
from infra.loops import together
from infra.roles.bells import Heard
from infra.roles.durables import Durables
from infra.roles.lifeline import Lifeline
from infra.roles.outside import Ledger, Nats, Postgres, the_nats, the_postgres
from infra.roles.role import name_of, ready, require_nats, settled, until_stopped
from infra.roles.sweep import Sweep
from infra.settings import Settings
from infra.store import store_of
from infra.telemetry import OFF, Telemetry, telemetry

logger = structlog.get_logger()
BATCH = 5_000  # outbox rows in one statement
STANDBY_S = 0.5
BUSY_S, IDLE_S = 0.005, 0.1  # between two looks into the outbox
NUMBER_S, MIRROR_S = 0.01, 0.04  # between two statements, or two batches: each has a price of its own, above all a sync
VERIFY_S = 2.0
TELL_S = 0.25
EVERYTHING = 2**62  # a position behind every other
NATS_ERRORS = (ApiError, NoAnswer, NatsError, ConnectionError, OSError)


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises Refused or Away, each with one clear sentence."""
    store = store_of(settings)
    database = Database(settings.postgres, settings.pool, "postcommit relay")
    await ready(database)
    await register(database, [kind for kind in KINDS.values() if not kind.internal])
    link = Link(settings.nats, "relay", name_of("relay"))
    cursor = Database(settings.postgres, 1, "postcommit relay cursor", durable=False)
    traces = telemetry(settings, name_of("relay"))
    clock = Clock()
    postgres, nats = the_postgres(settings, database, cursor), the_nats(settings, link, database)
    role = Relay(settings, postgres, nats, clock, QUEUES, traces)
    if store:
        log = PostgresLog(database, settings.backlog)
        role.sweep = Sweep(store, log, database, clock, role.written.set, (*TRANSIENT, Away))
    link.on_bell(LOG_BELL, lambda _: role.written.set())
    link.open()
    settled()
    try:
        with metrics.served(settings):
            await until_stopped(together(role.run(), require_nats(link)))
    finally:
        await link.close()
        await cursor.close()
        await database.close()
        traces.end()


@dataclass(slots=True)
class Relay:
    settings: Settings
    postgres: Postgres
    nats: Nats
    clock: Clock
    queues: Sequence[str]
    traces: Telemetry = OFF
    sweep: Sweep | None = None  # of the store of files, where there is one
    written: asyncio.Event = field(default_factory=asyncio.Event)  # the log's doorbell
    numbered: asyncio.Event = field(default_factory=asyncio.Event)
    stepped_ns: int = 0  # when the mirror's step began, in Unix time
    mirrored_at: float = 0.0  # when the stream last took what the mirror told it, or that was nothing

    async def run(self) -> None:
        """Lead, or stand by, until cancelled."""
        while True:
            try:
                async with await self.postgres.session() as leadership:
                    while not await leadership.lead():
                        await self.clock.sleep(STANDBY_S)
                    await self._lead(leadership)
            except (*TRANSIENT, NotLeading) as error:
                logger.warning("relay.stepped_down", error=str(error))
            finally:
                metrics.LEADS.set(0)
            await self.clock.sleep(STANDBY_S)

    async def _lead(self, leadership: Leadership) -> None:
        logger.info("relay.leads")
        metrics.LEADS.set(1)
        self.mirrored_at = self.clock.monotonic()
        ledger = self.postgres.ledger(leadership.leads)
        away = (*NATS_ERRORS, *TRANSIENT)
        durables = Durables(self.nats, self.postgres.rows, ledger, self.queues, self.clock, away)
        await together(
            self._sequence(leadership),
            self._heartbeat(leadership),
            self._mirror(ledger, durables.renew),
            self._tell(ledger),
            self._lifeline(ledger).run(),
            durables.run(),
            self._forget(),
            *([self.sweep.run()] if self.sweep else []),
        )

    async def _sequence(self, leadership: Leadership) -> None:
        """Number what was written: at the bell, and without one at least ten times a second."""
        pause = BUSY_S
        while True:
            begin = self.clock.monotonic()
            try:
                moved = await leadership.sequence(BATCH)
            except (asyncpg.UniqueViolationError, *AGAIN) as error:
                logger.info("relay.sequence_again", error=str(error))
                moved = 0
            if moved:
                metrics.numbered(moved, leadership.last, self.clock.now())
                pause = BUSY_S
                self.numbered.set()
                await self.nats.ring(HEAD_BELL)
                await self._gather(moved, begin + NUMBER_S)
                continue
            await _rung(self.written, pause)
            pause = min(pause * 1.5, IDLE_S)

    async def _heartbeat(self, leadership: Leadership) -> None:
        while True:
            await leadership.heartbeat()
            await self.clock.sleep(1.0)

    async def _mirror(self, ledger: Ledger, renew: Callable[[], Awaitable[None]]) -> None:
        """Tell the ledger again in NATS, and compare every few seconds. While NATS is away, only this waits."""
        mirror: Mirror | None = None
        verified = self.clock.monotonic()
        while True:
            if not self.nats.up:
                mirror = None
                await self.clock.sleep(0.2)
                continue
            mirror = mirror or Mirror(self.nats.stream(), ledger, NATS_ERRORS, _say, renew, self._mirrored)
            begin = self.clock.monotonic()
            try:
                self.stepped_ns = time.time_ns()
                told = await mirror.step()
                self.mirrored_at = self.clock.monotonic()
                if self.mirrored_at - verified > VERIFY_S:
                    verified = self.mirrored_at
                    await _verify(mirror)
                if told:
                    await self._gather(told, begin + MIRROR_S)
                    continue
            except NATS_ERRORS:
                await self.clock.sleep(0.5)
            await _rung(self.numbered, 0.0 if mirror.last is None else IDLE_S * 5)

    async def _gather(self, moved: int, until: float) -> None:
        """What comes until then goes out together; a full batch is followed at once. After a pause nothing waits."""
        if moved < MOST_LINES:
            await self.clock.sleep(max(until - self.clock.monotonic(), 0.0))

    def _mirrored(self, lines: Sequence[Line]) -> None:
        metrics.mirrored(lines, self.clock.now())
        self.traces.mirrored(lines, self.stepped_ns)

    async def _tell(self, ledger: Ledger) -> None:
        """The mirror's cursor is for those who watch it: a few times a second is enough. Every few seconds it is told
        anew: a leader that stood still, and leads no more, may have put its old one over it."""
        told = self.clock.monotonic()
        while True:
            anew = self.clock.monotonic() - told > VERIFY_S
            try:
                await ledger.tell(anew)
                told = self.clock.monotonic() if anew else told
            except TRANSIENT as error:  # it is told again
                logger.info("relay.tell_failed", error=str(error))
            await self.clock.sleep(TELL_S)

    def _lifeline(self, ledger: Ledger) -> Lifeline:
        return Lifeline(
            self.postgres.rows,
            self.clock,
            partial(ring_queue, self.nats),
            lambda: self._heard(ledger),
            self.written.set,
            (Unavailable, *GONE),
            self.settings.lease_s,
            self.settings.unheard_s,
        )

    async def _heard(self, ledger: Ledger) -> Heard | None:
        """How far each queue's consumer has delivered, where the stream begins; None while NATS is away."""
        if not self.nats.up:
            return None
        try:
            state = await self.nats.stream().state()
            found = {queue: await self.nats.delivered(queue) for queue in self.queues}
        except NATS_ERRORS as error:
            logger.info("relay.heard_nothing", error=str(error) or type(error).__name__)
            return None
        if state is None:
            return None
        head = await ledger.head()
        heard = {queue: position for queue, position in found.items() if position is not None}
        if self.clock.monotonic() - self.mirrored_at > self.settings.unheard_s:
            return Heard(dict.fromkeys(heard, EVERYTHING), state.first, head)  # the stream answers, and stores nothing
        for queue, position in heard.items():
            if position + 1 < state.first:  # age or size took what no worker had fetched: the bells ring for it again
                logger.warning("relay.queue_behind_stream", queue=queue, delivered=position, first=state.first)
        return Heard(heard, state.first, head)

    async def _forget(self) -> None:
        """Idempotency keys are kept for seven days."""
        while True:
            try:
                forgotten = await self.postgres.forget()
            except TRANSIENT as error:
                logger.info("relay.forget_failed", error=str(error))
                forgotten = 0
            if not forgotten:
                await self.clock.sleep(60)


async def _verify(mirror: Mirror) -> None:
    try:
        await mirror.verify()
    except NATS_ERRORS as error:  # the next step tells where the stream stands
        logger.info("relay.unverified", error=str(error) or type(error).__name__)
        raise


def _say(event: str, **facts: object) -> None:
    logger.warning(event, **facts)


async def _rung(bell: asyncio.Event, at_most: float) -> None:
    try:
        async with asyncio.timeout(at_most):
            await bell.wait()
    except TimeoutError:
        return
    bell.clear()
