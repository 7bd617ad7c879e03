"""An event loop in virtual time, without sockets: time jumps to the next timer, and chance says who goes on.

What runs belongs to a process, known by its context. Within a process callbacks run in the order that asyncio
promises; which process is next comes from the seed. A process that was killed runs nothing more, not even a `finally`;
one that is frozen goes on where it stood when it is thawed."""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from itertools import count
from random import Random
from typing import Any

TICK_S = 1e-6  # nothing that waits wakes up in the same moment
MOST_AT_ONCE = 50_000  # callbacks without any time passing: somebody spins


class Process:
    """What a process of the operating system is to its callbacks: it may be killed at any await."""

    __slots__ = ("alive", "context", "dies_in", "frozen", "name", "on_death", "ready", "signals")

    def __init__(self, name: str, on_death: Callable[["Process"], None] = lambda _: None) -> None:
        self.name, self.on_death = name, on_death
        self.alive, self.frozen = True, False
        self.dies_in = 0  # callbacks until it is killed; 0: it is not
        self.ready: deque[Handle] = deque()
        self.signals: dict[int, Callable[[], object]] = {}
        self.context = Context()
        self.context.run(PROCESS.set, self)


PROCESS: ContextVar[Process] = ContextVar("process")


class Handle:
    """A callback that waits for its turn, or for its time."""

    __slots__ = ("args", "at", "callback", "context", "off")

    def __init__(self, at: float, callback: Callable[..., object], args: tuple[Any, ...], context: Context) -> None:
        self.at, self.callback, self.args, self.context, self.off = at, callback, args, context, False

    def cancel(self) -> None:
        self.off = True

    def cancelled(self) -> bool:
        return self.off

    def when(self) -> float:
        return self.at


class Loop(asyncio.AbstractEventLoop):
    def __init__(self, random: Random) -> None:
        self.now = 0.0
        self.error: BaseException | None = None  # the first that nobody caught: it ends the run
        self.world = Process("world")  # what is outside of all processes
        self.steps = 0
        self._random, self._numbers = random, count()
        self._going: list[Process] = []  # that have something to do
        self._timers: list[tuple[float, int, Handle]] = []
        self._tasks: list[tuple[asyncio.Task[Any], Process]] = []

    # What asyncio asks of a loop.

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> Any:  # type: ignore[override]
        handle = Handle(self.now, callback, args, context or copy_context())
        self._enqueue(handle)
        return handle

    def call_later(self, delay: float, callback: Any, *args: Any, context: Context | None = None) -> Any:  # type: ignore[override]
        return self.call_at(self.now + max(delay, TICK_S), callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> Any:  # type: ignore[override]
        handle = Handle(when, callback, args, context or copy_context())
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **how: Any) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, **how)
        self._tasks.append((task, PROCESS.get(self.world)))
        return task

    def add_signal_handler(self, sig: int, callback: Any, *args: Any) -> None:  # type: ignore[override]
        PROCESS.get().signals[sig] = callback

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.error = self.error or context.get("exception") or AssertionError(context["message"])

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    # Outside of all processes.

    def later(self, delay: float, callback: Callable[..., object], *args: Any) -> None:
        """Let the world do something after a while, whatever becomes of the process that asks for it."""
        at = self.now + delay
        heapq.heappush(self._timers, (at, next(self._numbers), Handle(at, callback, args, self.world.context)))

    def start(self, process: Process, main: Coroutine[Any, Any, None]) -> "asyncio.Task[Any]":
        return process.context.run(self.create_task, main)

    def kill(self, process: Process) -> None:
        if process.alive:
            process.alive = False
            process.ready.clear()
            if process in self._going:
                self._going.remove(process)
            process.context.run(process.on_death, process)

    def freeze(self, process: Process) -> None:
        process.frozen = True
        if process in self._going:
            self._going.remove(process)

    def thaw(self, process: Process) -> None:
        process.frozen = False
        if process.ready and process.alive and process not in self._going:
            self._going.append(process)

    def run(self, over: Callable[[], bool]) -> None:
        """Until it is over, or something raises what nobody catches: that is raised here."""
        asyncio._set_running_loop(self)
        try:
            at_once, since = 0, self.now
            while not over() and self.error is None:
                self._turn()
                at_once = at_once + 1 if self.now == since else 0
                since = self.now
                assert at_once < MOST_AT_ONCE, f"Somebody spins at {self.now:.3f}: no time passes."
            if self.error is not None:
                raise self.error
        finally:
            asyncio._set_running_loop(None)

    def _enqueue(self, handle: Handle) -> None:
        process = handle.context.get(PROCESS, self.world)
        if not process.alive:
            return
        if not process.ready and not process.frozen:
            self._going.append(process)
        process.ready.append(handle)

    def _turn(self) -> None:
        while not self._going:
            self._jump()
        going = self._going
        process = going[int(self._random.random() * len(going))] if len(going) > 1 else going[0]
        handle = process.ready.popleft()
        if not process.ready:
            going.remove(process)
        if handle.off:
            return
        self.steps += 1
        try:
            handle.context.run(handle.callback, *handle.args)
        except BaseException as error:
            self.error = self.error or error
        if process.dies_in:
            process.dies_in -= 1
            if not process.dies_in:
                self.kill(process)

    def _jump(self) -> None:
        """To the next timer, and all of that moment."""
        assert self._timers, "Nothing will ever happen any more."
        self.now = max(self.now, self._timers[0][0])
        while self._timers and self._timers[0][0] <= self.now:
            handle = heapq.heappop(self._timers)[2]
            if not handle.off:
                self._enqueue(handle)

    def unheard(self) -> BaseException | None:
        """An error of which nobody took notice, in a process that lives on as if nothing was."""
        for task, process in self._tasks:
            if process.alive and task.done() and task._log_traceback:
                return task.exception()
        return None

    def close(self) -> None:
        """Throw away what is left, without a word; and what its `finally` blocks still begin."""
        self._timers.clear()
        asyncio._set_running_loop(self)
        for task, _ in self._tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            if not task.done():
                _discard(task.get_coro())
        asyncio._set_running_loop(None)
        self._tasks.clear()


def _discard(coroutine: Any) -> None:
    """Close it. What waits in a `finally` is closed again, until nothing is left of it."""
    for _ in range(10):
        try:
            coroutine.close()
            return
        except RuntimeError:  # it went on in spite of being closed
            continue
