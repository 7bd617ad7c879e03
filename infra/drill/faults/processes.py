"""Faults of processes: they are killed, told to end, or stand still. And of a clock."""

import asyncio
import os
import signal
from contextlib import suppress
from functools import partial
from random import Random

from infra.drill.descent import below
from infra.drill.faults.fault import BOTH, Fault
from infra.drill.service import CLOCK, ROLES, WORKERS, Service

FREEZES_S = (0.5, 12.0)  # more than half of them are longer than a lease of 5 s
SERVERS = ("postgres", "nats")


async def back(service: Service, name: str, gone: int) -> None:
    """Until there is another process of this name."""
    await service.until(lambda: (pids := service.pids(name)) and gone not in pids, f"another {name}")


async def _pid(service: Service, name: str, chance: Random) -> int:
    return chance.choice(await service.until(lambda: service.pids(name), f"a {name}"))


async def signalled(service: Service, lasts_s: float, chance: Random, *, name: str, number: signal.Signals) -> None:
    """One process of the name ends by this signal; its supervisor starts another."""
    pid = await _pid(service, name, chance)
    with suppress(ProcessLookupError):
        os.kill(pid, number)
    await back(service, name, pid)


async def frozen(service: Service, lasts_s: float, chance: Random, *, name: str) -> None:
    """SIGSTOP, and SIGCONT at the end; of Postgres all processes."""
    pid = await _pid(service, name, chance)
    _signal([pid], signal.SIGSTOP)  # before its children are counted: it makes no more of them
    held = [pid, *(below(pid) if name == "postgres" else ())]
    try:
        _signal(held, signal.SIGSTOP)
        await asyncio.sleep(lasts_s)
    finally:
        _signal(held, signal.SIGCONT)


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):  # somebody took it for dead
            os.kill(pid, number)


async def clock_moved(service: Service, lasts_s: float, chance: Random) -> None:
    """One worker has a clock that is an hour ahead, or behind."""
    file, before = service.home / CLOCK, service.pids("worker")

    def anew() -> set[int]:
        now = service.pids("worker")
        return set(now) - set(before) if len(now) >= WORKERS else set()

    file.write_text(str(chance.choice((-3_600, 3_600))))
    try:
        await signalled(service, 0.0, chance, name="worker", number=signal.SIGTERM)
        moved = min(await service.until(anew, "a worker whose clock is moved"))
        await asyncio.sleep(lasts_s)
    finally:
        file.unlink()
    with suppress(ProcessLookupError):
        os.kill(moved, signal.SIGTERM)
    await back(service, "worker", moved)


def _all() -> dict[str, Fault]:
    """A worker that dies or stands still, and a database that does, may cut off an attempt after its effect."""
    found = {}
    for name in (*ROLES, *SERVERS):
        cutting = BOTH if name in ("worker", "postgres") else frozenset[str]()
        found[f"kill:{name}"] = Fault(partial(signalled, name=name, number=signal.SIGKILL), touches=cutting)
        found[f"freeze:{name}"] = Fault(partial(frozen, name=name), FREEZES_S, cutting)
        if name in ROLES:
            found[f"terminate:{name}"] = Fault(partial(signalled, name=name, number=signal.SIGTERM))
    found["immediate-stop:postgres"] = Fault(partial(signalled, name="postgres", number=signal.SIGQUIT), touches=BOTH)
    return found | {"clock-moved:worker": Fault(clock_moved, (4.0, 12.0))}


OF_PROCESSES = _all()
