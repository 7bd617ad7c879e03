"""Waiting for what changes: one question for all who wait, however many they are."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import structlog

Id = TypeVar("Id")
State = TypeVar("State")

logger = structlog.get_logger()
TICK_S = 0.05
SLOWEST = 5  # ticks between two looks, while nothing comes true
AFTER_ERROR = 20


@dataclass(eq=False, slots=True)
class _Waiter(Generic[State]):
    good: Callable[[State], bool]
    came: asyncio.Event = field(default_factory=asyncio.Event)


class Watch(Generic[Id, State]):
    """Asks for the states of all ids that somebody waits for, every 50 ms, more slowly while nothing happens."""

    def __init__(self, look: Callable[[Sequence[Id]], Awaitable[Mapping[Id, State]]]) -> None:
        self._look = look
        self._waiters: dict[Id, set[_Waiter[State]]] = {}
        self._pause = 1  # ticks
        self._looking: asyncio.Task[None] | None = None
        self._stopped = False

    async def until(self, id: Id, good: Callable[[State], bool], timeout_s: float) -> bool:
        """Wait until the state is good; answers whether it is. After `stop` nobody waits."""
        if self._stopped:
            return False
        waiter = _Waiter(good)
        self._waiters.setdefault(id, set()).add(waiter)
        self._pause = 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._loop())
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(waiter.came.wait(), timeout_s)
        finally:
            self._leave(id, waiter)
        return waiter.came.is_set() and not self._stopped

    def stop(self) -> None:
        """Let everybody go, now and from now on."""
        self._stopped = True
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.came.set()

    async def _loop(self) -> None:
        ticks = 0
        while self._waiters and not self._stopped:
            ticks += 1
            if ticks >= self._pause:
                ticks = 0
                await self._once()
            await asyncio.sleep(TICK_S)

    async def _once(self) -> None:
        try:
            states = await self._look(list(self._waiters))
        except Exception as error:  # those who wait run out of time, and are told why when they look themselves
            logger.warning("watch.failed", error=str(error) or type(error).__name__)
            self._pause = AFTER_ERROR
            return
        self._pause = 1 if self._tell(states) else min(self._pause + 1, SLOWEST)

    def _tell(self, states: Mapping[Id, State]) -> bool:
        told = False
        for id, state in states.items():
            for waiter in self._waiters.get(id, ()):
                if not waiter.came.is_set() and waiter.good(state):
                    waiter.came.set()
                    told = True
        return told

    def _leave(self, id: Id, waiter: _Waiter[State]) -> None:
        waiters = self._waiters[id]
        waiters.discard(waiter)
        if not waiters:
            del self._waiters[id]
