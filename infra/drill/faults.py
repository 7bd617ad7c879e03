"""The faults: each strikes the service from outside and is over when its function returns. A name is `what:whom`."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import asyncpg
import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError

from adapters.nats.api import ApiError, NoAnswer, call
from adapters.nats.names import STREAM, durable
from infra.app import QUEUES
from infra.asking import unheard
from infra.drill.proxy import Proxy, Trouble
from infra.drill.service import CLOCK, PATHS, ROLES, WORKERS, Service, within

Strike = Callable[[Service, float, Random], Awaitable[None]]
"""Strikes the service for so many seconds, by chance; returns when the fault is over."""
TRIES_S = 30.0


@dataclass(frozen=True, slots=True)
class Fault:
    """`touches` names the paths on which it may repeat an effect: `email`, `webhook`."""

    strike: Strike
    lasts_s: tuple[float, float] = (0.0, 0.0)
    touches: frozenset[str] = frozenset()


BOTH = frozenset({"email", "webhook"})


async def _back(service: Service, name: str, gone: int) -> None:
    """Until there is another process of this name."""
    await service.until(lambda: (pids := service.pids(name)) and gone not in pids, f"another {name}")


async def _pid(service: Service, name: str, chance: Random) -> int:
    return chance.choice(await service.until(lambda: service.pids(name), f"a {name}"))


async def signalled(service: Service, lasts_s: float, chance: Random, *, name: str, number: signal.Signals) -> None:
    """One process of the name ends by this signal; its supervisor starts another."""
    pid = await _pid(service, name, chance)
    with suppress(ProcessLookupError):
        os.kill(pid, number)
    await _back(service, name, pid)


async def frozen(service: Service, lasts_s: float, chance: Random, *, name: str) -> None:
    """SIGSTOP, and SIGCONT at the end."""
    pid = await _pid(service, name, chance)
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(lasts_s)
    finally:
        with suppress(ProcessLookupError):  # somebody took it for dead
            os.kill(pid, signal.SIGCONT)


async def backend_killed(service: Service, lasts_s: float, chance: Random) -> None:
    """kill -9 of one backend of Postgres, after which Postgres ends all others and recovers."""
    async with service.postgres() as connection:
        pids = [
            row["pid"]
            for row in await connection.fetch(
                "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename = 'postcommit'"
            )
        ]
    with suppress(ProcessLookupError, IndexError):
        os.kill(chance.choice(pids), signal.SIGKILL)


async def nats_wiped(service: Service, lasts_s: float, chance: Random) -> None:
    """The whole storage of JetStream is lost."""
    [pid] = service.pids("nats") or [0]
    service.signal(signal.SIGUSR1)
    await _back(service, "nats", pid)


async def nats_old_copy(service: Service, lasts_s: float, chance: Random) -> None:
    """JetStream's storage as it was a while ago is put back."""
    store, copy = service.home / "nats/store", service.home / "nats/copy"
    await _held(service, partial(_replace, store, copy))
    await asyncio.sleep(lasts_s)
    await _held(service, partial(_replace, copy, store))


async def _held(service: Service, work: Callable[[], None]) -> None:
    """Do it while NATS is held stopped."""
    service.signal(signal.SIGUSR2)
    await service.until(lambda: not service.pids("nats"), "NATS to be stopped")
    try:
        await asyncio.to_thread(work)
    finally:
        service.signal(signal.SIGUSR2)
    await service.until(lambda: service.pids("nats"), "NATS to be let go")


def _replace(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


async def asked_of_nats(service: Service, lasts_s: float, chance: Random, *, subject: Callable[[Random], str]) -> None:
    """An administrator's request to JetStream that nobody should make."""
    async with _nats(service) as client:
        with suppress(ApiError, NoAnswer):  # what it would delete is not there just now
            await call(client, subject(chance), {} if "PURGE" in subject(chance) else None)


async def messages_repeated(service: Service, lasts_s: float, chance: Random) -> None:
    """Old messages come again, in another order, and with them some that nobody has written."""
    async with _nats(service) as client:
        heads = await _messages(client, 200)
        forged = [(f"tasks.v1.default.probe.queued.{number}", b"{}") for number in range(20)]
        mixed = [*heads, *forged]
        chance.shuffle(mixed)
        for subject, data in mixed:
            await client.publish(subject, data)
        with suppress(NatsError, TimeoutError):
            await client.flush(5)


async def _messages(client: Client, most: int) -> list[tuple[str, bytes]]:
    """The last messages of the stream: (subject, data)."""
    found: list[tuple[str, bytes]] = []
    stream = client.jetstream(timeout=5)
    with suppress(NatsError, TimeoutError):
        last = (await stream.stream_info(STREAM)).state.last_seq
        for sequence in range(max(last - most, 1), last + 1):
            message = await stream.get_msg(STREAM, sequence)
            found.append((message.subject or "", message.data or b""))
    return found


@asynccontextmanager
async def _nats(service: Service) -> AsyncIterator[Client]:
    async with asyncio.timeout(TRIES_S):
        while True:
            try:
                client = await nats.connect(service.run["nats_admin"], allow_reconnect=False, error_cb=unheard)
                break
            except (OSError, NatsError, TimeoutError):
                await asyncio.sleep(0.1)
    try:
        yield client
    finally:
        with suppress(NatsError, OSError, TimeoutError):
            await client.close()


async def troubled(
    service: Service, lasts_s: float, chance: Random, *, path: str, trouble: Callable[[Random], Trouble]
) -> None:
    """A path fails as networks do."""
    async with service.proxies[path].troubled(trouble(chance)):
        await asyncio.sleep(lasts_s)


async def cut(service: Service, lasts_s: float, chance: Random, *, path: str) -> None:
    """Every connection of a path is reset, once."""
    proxy: Proxy = service.proxies[path]
    proxy.cut()


async def idle_connections(service: Service, lasts_s: float, chance: Random) -> None:
    """Somebody holds 300 connections to Postgres, or all that it still has, and does nothing."""
    held: list[asyncpg.Connection[asyncpg.Record]] = []
    try:
        with suppress(asyncpg.PostgresError, OSError, TimeoutError):  # it has no more of them
            for _ in range(300):
                held.append(await asyncpg.connect(service.run["postgres"], timeout=5))
        await asyncio.sleep(lasts_s)
    finally:
        for one in held:
            one.terminate()


async def clock_moved(service: Service, lasts_s: float, chance: Random) -> None:
    """One worker has a clock that is an hour ahead, or behind."""
    file, before = service.home / CLOCK, service.pids("worker")
    file.write_text(str(chance.choice((-3_600, 3_600))))
    await signalled(service, 0.0, chance, name="worker", number=signal.SIGTERM)

    def anew() -> set[int]:
        now = service.pids("worker")
        return set(now) - set(before) if len(now) >= WORKERS else set()

    moved = min(await service.until(anew, "a worker whose clock is moved"))
    await asyncio.sleep(lasts_s)
    file.unlink()
    with suppress(ProcessLookupError):
        os.kill(moved, signal.SIGTERM)
    await _back(service, "worker", moved)


async def power_cut(service: Service, lasts_s: float, chance: Random) -> None:
    """What was not synced is lost, and everything that ran: Postgres, NATS, all roles, the far sides."""
    disk = service.disk
    assert disk is not None, "It is one of those that need a disk."
    await asyncio.to_thread(disk.cut_the_power)
    service.process.kill()
    await service.process.wait()
    await within(disk.kill, "all that worked there to end")
    await within(disk.unplugged, "the disk to be unplugged")
    await asyncio.to_thread(disk.plug_in)
    await service.start()


async def disk_full(service: Service, lasts_s: float, chance: Random) -> None:
    """No room for anybody: Postgres, NATS, the store, the far sides."""
    disk = service.disk
    assert disk is not None, "It is one of those that need a disk."
    try:
        await asyncio.to_thread(disk.fill)
        await asyncio.sleep(lasts_s)
    finally:
        disk.free()


async def statement_held(service: Service, lasts_s: float, chance: Random, *, statement: str) -> None:
    """A transaction stays open after this statement."""
    async with service.postgres() as connection:
        await connection.execute("BEGIN")
        with suppress(asyncpg.PostgresError):
            await connection.execute(statement, timeout=10)
        with suppress(asyncpg.PostgresError, OSError, TimeoutError):
            await asyncio.sleep(lasts_s)
            await connection.execute("ROLLBACK", timeout=10)


def _of_paths() -> dict[str, Fault]:
    found = {}
    for path in PATHS:
        touches = {"smtp": frozenset({"email"}), "webhook": frozenset({"webhook"})}.get(path, BOTH)
        forms: Mapping[str, tuple[Callable[[Random], Trouble], tuple[float, float]]] = {
            "refused": (lambda _: Trouble(refuse=True), (1.0, 15.0)),
            "half-open": (lambda _: Trouble(swallow=True), (2.0, 20.0)),
            "slow": (lambda chance: Trouble(delay_s=chance.uniform(0.02, 0.3)), (3.0, 12.0)),
            "reset-in-answer": (lambda chance: Trouble(reset_after=chance.randrange(4_000)), (1.0, 4.0)),
        }
        for name, (trouble, lasts_s) in forms.items():
            found[f"{name}:{path}"] = Fault(partial(troubled, path=path, trouble=trouble), lasts_s, touches)
        found[f"cut:{path}"] = Fault(partial(cut, path=path), touches=touches)
    for path, asked in (("smtp", b"\r\n.\r\n"), ("webhook", b"POST ")):
        trouble = partial(_losing, asked)
        touches = frozenset({"email" if path == "smtp" else "webhook"})
        found[f"answer-lost:{path}"] = Fault(partial(troubled, path=path, trouble=trouble), (2.0, 6.0), touches)
    return found


def _losing(asked: bytes, _: Random) -> Trouble:
    return Trouble(lose_answer_to=asked)


def _of_processes() -> dict[str, Fault]:
    found = {}
    for name in ROLES:
        found[f"kill:{name}"] = Fault(partial(signalled, name=name, number=signal.SIGKILL), touches=BOTH)
        found[f"terminate:{name}"] = Fault(partial(signalled, name=name, number=signal.SIGTERM), touches=BOTH)
        found[f"freeze:{name}"] = Fault(partial(frozen, name=name), (0.5, 20.0), BOTH)
    for name in ("postgres", "nats"):
        found[f"kill:{name}"] = Fault(partial(signalled, name=name, number=signal.SIGKILL), touches=BOTH)
        found[f"freeze:{name}"] = Fault(partial(frozen, name=name), (0.5, 8.0), BOTH)
    found["immediate-stop:postgres"] = Fault(partial(signalled, name="postgres", number=signal.SIGQUIT), touches=BOTH)
    return found


def _of_nats() -> dict[str, Fault]:
    subjects: Mapping[str, Callable[[Random], str]] = {
        "stream-deleted": lambda _: f"STREAM.DELETE.{STREAM}",
        "stream-purged": lambda _: f"STREAM.PURGE.{STREAM}",
        "consumer-deleted": lambda chance: f"CONSUMER.DELETE.{STREAM}.{durable(chance.choice(QUEUES))}",
    }
    return {
        "wiped:nats": Fault(nats_wiped),
        "old-copy:nats": Fault(nats_old_copy, (2.0, 8.0)),
        "repeated-and-forged:nats": Fault(messages_repeated),
        **{f"{name}:nats": Fault(partial(asked_of_nats, subject=subject)) for name, subject in subjects.items()},
    }


def _of_postgres() -> dict[str, Fault]:
    locked = "LOCK TABLE postcommit.tasks IN SHARE ROW EXCLUSIVE MODE"
    return {
        "backend-killed:postgres": Fault(backend_killed, touches=BOTH),
        "idle-connections:postgres": Fault(idle_connections, (3.0, 10.0), BOTH),
        "transaction-open:postgres": Fault(
            partial(statement_held, statement="SELECT count(*) FROM postcommit.events"), (3.0, 15.0)
        ),
        "tasks-locked:postgres": Fault(partial(statement_held, statement=locked), (1.0, 12.0), BOTH),
    }


FAULTS: dict[str, Fault] = {
    **_of_processes(),
    **_of_paths(),
    **_of_nats(),
    **_of_postgres(),
    "clock-moved:worker": Fault(clock_moved, (4.0, 12.0), BOTH),
}
ON_A_DISK: dict[str, Fault] = {
    "power-cut:all": Fault(power_cut, touches=BOTH),
    "disk-full:all": Fault(disk_full, (2.0, 10.0), BOTH),
}
"""Where the home lies on a disk of its own."""
