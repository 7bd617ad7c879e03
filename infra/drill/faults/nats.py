"""Faults of NATS: its storage is lost or old, and what no administrator should ask of it."""

import asyncio
import shutil
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from adapters.nats.api import ApiError, NoAnswer, call
from adapters.nats.names import STREAM, durable
from infra.app import QUEUES
from infra.drill.faults.fault import Fault, struck
from infra.drill.faults.processes import back
from infra.drill.mirrored import connected
from infra.drill.service import Service

Asked = tuple[str, dict[str, object] | None]  # a subject of JetStream's API, and what is sent there
LAST, FORGED = 200, 20  # messages


async def wiped(service: Service, lasts_s: float, chance: Random) -> None:
    """The whole storage of JetStream is lost."""
    [pid] = await service.until(lambda: service.pids("nats"), "NATS")
    service.signal(signal.SIGUSR1)
    await back(service, "nats", pid)


async def old_copy(service: Service, lasts_s: float, chance: Random) -> None:
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


async def asked(service: Service, lasts_s: float, chance: Random, *, of: Callable[[Random], Asked]) -> None:
    """An administrator's request to JetStream that nobody should make."""
    async with connected(service) as client:

        async def done() -> bool:
            try:
                await call(client, *of(chance))
            except (ApiError, NoAnswer):  # what it would delete is not there just now
                return False
            return True

        await struck(done, "stream or consumer to delete")


async def repeated_and_forged(service: Service, lasts_s: float, chance: Random) -> None:
    """Old messages come again, in another order, and with them some that nobody has written."""
    async with connected(service) as client:

        async def last() -> list[RawStreamMsg]:
            return await _last(client)

        old = [
            (one.subject or "", one.data or b"", _own(one.headers))
            for one in await struck(last, "message in the stream")
        ]
        forged = [(f"tasks.v1.default.probe.queued.{number}", b"{}", dict[str, str]()) for number in range(FORGED)]
        mixed = [*old, *forged]
        chance.shuffle(mixed)

        async def taken() -> int:
            stored = [one for one in mixed if await _stored(client, *one)]
            return sum(one in forged for one in stored)

        await struck(taken, "stream that takes what is forged")


async def _stored(client: Client, subject: str, data: bytes, headers: Mapping[str, str]) -> bool:
    """Whether the stream has stored it; while it is made anew, it has not."""
    try:
        await client.jetstream(timeout=0.5).publish(subject, data, headers=dict(headers))
    except (NatsError, TimeoutError):
        return False
    return True


def _own(headers: Mapping[str, str] | None) -> dict[str, str]:
    """What the writer said, without what it asked of the server."""
    return {name: value for name, value in (headers or {}).items() if not name.startswith("Nats-")}


async def _last(client: Client) -> list[RawStreamMsg]:
    """The last messages of the stream, as far as they are there."""
    stream, found = client.jetstream(timeout=5), list[RawStreamMsg]()
    try:
        state = (await stream.stream_info(STREAM)).state
        for sequence in range(max(state.last_seq - LAST, state.first_seq, 1), state.last_seq + 1):
            with suppress(NotFoundError):
                found.append(await stream.get_msg(STREAM, sequence))
    except (NatsError, TimeoutError):  # it is being made anew
        pass
    return found


def _asking(of: Callable[[Random], Asked]) -> Fault:
    return Fault(partial(asked, of=of))


def _a_consumer(chance: Random) -> Asked:
    return f"CONSUMER.DELETE.{STREAM}.{durable(chance.choice(QUEUES))}", None


OF_NATS: dict[str, Fault] = {
    "wiped:nats": Fault(wiped, weight=3),
    "old-copy:nats": Fault(old_copy, (2.0, 8.0)),
    "repeated-and-forged:nats": Fault(repeated_and_forged),
    "stream-deleted:nats": _asking(lambda _: (f"STREAM.DELETE.{STREAM}", None)),
    "stream-purged:nats": _asking(lambda _: (f"STREAM.PURGE.{STREAM}", {})),
    "consumer-deleted:nats": _asking(_a_consumer),
}
