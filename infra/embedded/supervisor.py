"""Keeps the servers and roles of one directory running until it is told to stop.

Everything is started in the order servers, steps (migrate, keys), roles, and stopped the other way round. What ends
by itself is started again, later each time; what is merely stopped (SIGSTOP) is left alone.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from signal import SIGINT, SIGTERM, SIGUSR1, SIGUSR2, Signals

import httpx

from infra.embedded import nats
from infra.embedded.child import Command, Failed, Process, ended, stop, tail
from infra.embedded.home import Home, write_run
from infra.embedded.servers import AGAIN_S, Server, Servers, spawning
from infra.exits import REFUSED, Refused
from infra.loops import end, together
from infra.said import Undaunted

READY_S = 120.0
IN_PLACE_S = 5.0
STOP_S = 15.0  # what a server gets to end; a role gets its grace_s and
RESERVE_S = 10.0  # what a worker needs after it: 3 s for what does not end, 3 s to leave NATS, and its last writes
FIRST_PAUSE_S, LONGEST_PAUSE_S, SETTLED_S = 0.1, 5.0, 10.0
STOPPING = (("api", "worker"), ("reader",), ("relay",), ("mail", "notices"), ("nats",), ("postgres",))

Announce = Callable[[int, str], None]


@dataclass(slots=True)
class Kept:
    """A server or role under its name in run.json."""

    name: str
    server: Server
    patience_s: float = STOP_S  # what it gets to end before it is killed
    metrics: str = ""  # where it tells its own, if it does
    allowed: asyncio.Event = field(default_factory=asyncio.Event)  # cleared while it is held stopped
    idle: asyncio.Event = field(default_factory=asyncio.Event)  # set while it has no process

    def __post_init__(self) -> None:
        self.allowed.set()
        self.idle.set()


async def supervise(
    servers: Servers, steps: Sequence[Command], roles: Sequence[Kept], announce: Announce, ready_s: float = READY_S
) -> None:
    """Run everything until SIGTERM or SIGINT. Raises Failed or Refused, after everything has been stopped."""
    kept = [
        Kept("postgres", servers.postgres),
        Kept("nats", servers.nats),
        Kept("mail", servers.mail),
        Kept("notices", servers.notices),
    ]
    stopping, orders = asyncio.Event(), asyncio.Queue[Signals]()
    loop = asyncio.get_running_loop()
    for number in (SIGTERM, SIGINT):
        loop.add_signal_handler(number, stopping.set)
    for number in (SIGUSR1, SIGUSR2):
        loop.add_signal_handler(number, orders.put_nowait, number)
    work = asyncio.create_task(_serve(servers.home, kept, steps, roles, orders, announce, ready_s))
    over = asyncio.create_task(stopping.wait())
    await asyncio.wait({work, over}, return_when=asyncio.FIRST_COMPLETED)
    await end([work, over])
    await _stop_all([*kept, *roles])
    if not work.cancelled() and (error := work.exception()):
        raise error


async def _serve(
    home: Home,
    servers: Sequence[Kept],
    steps: Sequence[Command],
    roles: Sequence[Kept],
    orders: asyncio.Queue[Signals],
    announce: Announce,
    ready_s: float,
) -> None:
    told = False
    metrics = {"api": [f"{home.http}/metrics"]}
    for role in roles:
        if role.metrics:
            metrics.setdefault(role.name, []).append(role.metrics)

    def changed() -> None:
        if not told:
            return
        try:
            write_run(home, _pids([*servers, *roles]), metrics)
        except OSError as error:  # a full disk must not end what still runs
            _say(f"run.json could not be written: {error}")

    def ready() -> None:
        nonlocal told
        told = True
        changed()
        announce(0, f"postcommit is ready: {home.http}  (home {home.path})")

    await asyncio.gather(*(_begin(each, changed) for each in servers))
    keeping = [_keep(each, changed) for each in servers]
    await together(*keeping, _obey(orders, home, servers[1]), _lead(home, steps, roles, changed, ready, ready_s))


async def _lead(
    home: Home,
    steps: Sequence[Command],
    roles: Sequence[Kept],
    changed: Callable[[], None],
    ready: Callable[[], None],
    ready_s: float,
) -> None:
    """Run the steps in order, then keep the roles. Raises Failed where all is not ready in time."""
    until = asyncio.get_running_loop().time() + ready_s

    async def answered() -> None:
        async with _in_time(until, home, ready_s):
            await _answers(f"{home.http}/readyz")
        ready()

    async with _in_time(until, home, ready_s):
        for step in steps:
            await _run(step)
    await together(*(_keep(each, changed) for each in roles), answered())


@asynccontextmanager
async def _in_time(until: float, home: Home, ready_s: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout_at(until):
            yield
    except TimeoutError:
        raise Failed(f"postcommit was not ready after {ready_s:.0f} s; the logs are in {home.path}/logs.") from None


async def _keep(kept: Kept, changed: Callable[[], None]) -> None:
    pause = FIRST_PAUSE_S / 2
    misconfigured = 0
    while True:
        began = time.monotonic()
        if kept.server.process is None:
            await kept.allowed.wait()
            await _begin_again(kept, changed)
        process = kept.server.process
        if process is None:  # it could not even be started: no space, perhaps
            await asyncio.sleep(LONGEST_PAUSE_S)
            continue
        code = await ended(process)
        kept.server.process = None
        kept.idle.set()
        changed()
        if not kept.allowed.is_set():
            continue
        misconfigured = misconfigured + 1 if code == REFUSED else 0
        if misconfigured == 3:
            log = kept.server.command().log
            raise Refused(f"The role {kept.name} cannot run with these settings, {tail(log)}")
        settled = time.monotonic() - began > SETTLED_S
        pause = FIRST_PAUSE_S if settled else min(2 * pause, LONGEST_PAUSE_S)
        _say(f"{kept.name} {process.pid} ended with code {code}; it is started again in {pause:.1f} s.")
        await asyncio.sleep(pause)


async def _begin_again(kept: Kept, changed: Callable[[], None]) -> None:
    """A server that is killed again while it starts fails in many ways; none of them may end its keeper."""
    try:
        await _begin(kept, changed)
    except Exception as error:
        _say(f"{kept.name} is not ready again: {error}")


async def _begin(kept: Kept, changed: Callable[[], None]) -> None:
    kept.server.process = process = await _spawned(kept.server.command())
    kept.idle.clear()
    changed()
    await kept.server.ready(process)


async def _spawned(command: Command) -> Process:
    """Start it as soon as no earlier one holds its lock. Raises Failed."""
    for process in spawning(command):
        if process is not None:
            return process
        await asyncio.sleep(AGAIN_S)
    raise AssertionError("unreachable")


async def _run(step: Command) -> None:
    process = await _spawned(step)
    try:
        code = await ended(process)
    finally:
        process.kill()
    if code == REFUSED:
        raise Refused(f"The step {step.name} cannot run with these settings, {tail(step.log)}")
    if code:
        raise Failed(f"{step.name} ended with code {code}, {tail(step.log)}")


async def _answers(url: str) -> None:
    """Until the API can serve, and a moment longer for the roles behind it to be in their places."""
    soon = time.monotonic() + IN_PLACE_S
    async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
        while True:
            try:
                answer = await client.get(url)
                if answer.status_code == 200 and (answer.json()["status"] == "ok" or time.monotonic() > soon):
                    return
            except httpx.HTTPError:
                pass  # not there yet
            await asyncio.sleep(0.05)


async def _obey(orders: asyncio.Queue[Signals], home: Home, kept: Kept) -> None:
    """SIGUSR1 wipes NATS, SIGUSR2 holds it stopped or lets it go again."""
    while True:
        number = await orders.get()
        was_allowed = kept.allowed.is_set()
        await _hold(kept)
        try:
            if number == SIGUSR1:
                nats.wipe(home)
            _say(f"nats was {'wiped' if number == SIGUSR1 else 'held' if was_allowed else 'let go'}.")
        except OSError as error:
            _say(f"nats was not wiped: {error}.")
        if was_allowed == (number == SIGUSR1):
            kept.allowed.set()


async def _hold(kept: Kept) -> None:
    kept.allowed.clear()
    if kept.server.process:
        await stop(kept.server.process, SIGTERM, kept.patience_s)
    await kept.idle.wait()  # its keeper has noticed


async def _stop_all(kept: Sequence[Kept]) -> None:
    for names in STOPPING:
        await asyncio.gather(*(_stop(each) for each in kept if each.name in names))


async def _stop(kept: Kept) -> None:
    if kept.server.process:
        await stop(kept.server.process, kept.server.ending, kept.patience_s)


def _pids(kept: Sequence[Kept]) -> dict[str, list[int]]:
    """Of every name, also of one that has no process just now, or was told to have none."""
    pids: dict[str, list[int]] = {"supervisor": [os.getpid()]} | {name: [] for names in STOPPING for name in names}
    for each in kept:
        if each.server.process:
            pids[each.name].append(each.server.process.pid)
    return pids


def _say(sentence: str) -> None:
    print(sentence, file=Undaunted(sys.stderr), flush=True)
