"""What every role does alike: logs, signals, a watchdog, and its end."""

import asyncio
import contextlib
import faulthandler
import gc
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, TextIO, cast

import structlog
import uvloop

from adapters.nats.broker import Link
from adapters.postgres.database import Database
from adapters.postgres.hot import know_arrays
from infra import asking
from infra.exits import INTERRUPTED, STUCK, Away, Refused, told
from infra.loops import end
from infra.migrate import require
from infra.said import Undaunted

STUCK_S = 30.0  # an event loop that stands still so long is ended, so that somebody starts it again
PATIENCE_S = 30.0  # for Postgres at the start
YOUNG = 100_000  # objects that are made before the youngest are looked through
MOST_FRAMES = 40  # of an exception, in the log
OLDEST_NATS = (2, 14)


def run(main: Callable[[], Coroutine[Any, Any, None]], level: str = "info") -> int:
    """Run a role to its end. Answers with its exit code."""
    log_to_stderr(level)
    know_arrays()

    def serve() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_watched(main))

    try:
        return told(serve)
    except KeyboardInterrupt:
        return INTERRUPTED


def log_to_stderr(level: str = "info") -> None:
    """Talk goes to stderr: for people on a terminal, as JSON elsewhere."""
    renderer: Any = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            impersonal,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, Undaunted(sys.stderr))),
        cache_logger_on_first_use=True,
    )


def impersonal(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """What went wrong, and where, without its words: an exception's text may hold an address, or a whole row of
    Postgres (its DETAIL). Of an `error` that a role chose to tell, the first line is told."""
    if (error := event.pop("exc_info", None)) is not None:
        found = error if isinstance(error, BaseException) else sys.exc_info()[1]
        event["exception"] = _frames(found) if found is not None else []
    if isinstance(event.get("error"), str):
        event["error"] = event["error"].partition("\n")[0]
    return event


def _frames(error: BaseException | None) -> list[str]:
    """The error's type and where it was raised, then that of its cause, and so on."""
    lines: list[str] = []
    while error is not None and len(lines) < MOST_FRAMES:
        lines.append(f"{type(error).__module__}.{type(error).__qualname__}")
        frames = traceback.extract_tb(error.__traceback__)[-MOST_FRAMES:]
        lines += [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames)]
        error = error.__cause__ or error.__context__
    return lines


def settled() -> None:
    """Say that a role is set up: what there is by now stays to its end, so the collector of cycles need not walk
    through it again and again, which took a tenth of the API's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG)


async def until_stopped(work: Awaitable[None]) -> None:
    """Run the work until it ends by itself or SIGTERM or SIGINT comes; then cancel it."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    working = asyncio.ensure_future(work)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        working.result()
    await end([working])


async def ready(database: Database) -> None:
    """Wait for Postgres. Raises Refused where it is unsafe, has another schema or does not let this user in; Away where
    it does not answer in time."""
    begin = time.monotonic()
    while True:
        try:
            with asking.postgres(database.dsn):
                await require(database)
                await database.require_safe()
            return
        except Away:
            if time.monotonic() - begin > PATIENCE_S:
                raise
            await asyncio.sleep(0.2)


async def require_nats(link: Link) -> None:
    """Wait for NATS. Raises Refused where the server is too old: what it does not know it ignores, and says nothing."""
    await link.wait()
    version = link.client.connected_server_version
    if (version.major, version.minor) < OLDEST_NATS:
        found = f"{version.major}.{version.minor}.{version.patch}"
        raise Refused(f"NATS has version {found}, and postcommit needs 2.14 or newer.")


@contextlib.asynccontextmanager
async def guarded(guard: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """For a block that ends at SIGTERM: a guard that fails sends one, and its error is raised after the block. A guard
    that still waits by then is cancelled."""
    watching = asyncio.create_task(guard)
    watching.add_done_callback(_end_by_signal)
    try:
        yield
    finally:
        await end([watching])
    if not watching.cancelled():
        watching.result()


def _end_by_signal(guard: asyncio.Task[None]) -> None:
    if not guard.cancelled() and guard.exception() is not None:
        os.kill(os.getpid(), signal.SIGTERM)


def name_of(role: str) -> str:
    """What this process is called: in the log, where it is a subject's token, and at its servers."""
    return f"{role}-{socket.gethostname().partition('.')[0]}-{os.getpid()}"[:64]


async def _watched(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    beat = [time.monotonic()]
    threading.Thread(target=_watch, args=(beat,), daemon=True, name="watchdog").start()
    beating = asyncio.create_task(_beat(beat))
    try:
        await main()
    finally:
        beating.cancel()


async def _beat(beat: list[float]) -> None:
    while True:
        beat[0] = time.monotonic()
        await asyncio.sleep(1)


def _watch(beat: list[float]) -> None:
    """A thread, because a loop that stands still cannot see that it does."""
    seen = time.monotonic()
    while True:
        time.sleep(1)
        now = time.monotonic()
        if now - seen > STUCK_S / 2:  # the whole process was stopped, not the loop alone
            beat[0] = now
        seen = now
        if now - beat[0] > STUCK_S:
            print(f"The event loop stood still for {STUCK_S:.0f} s: this process ends.", file=sys.stderr)
            faulthandler.dump_traceback()
            os._exit(STUCK)
