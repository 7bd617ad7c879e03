"""A clock that moves when a test says so."""

import asyncio
from datetime import datetime, timedelta

from infra.clock import Clock, new_id
from tests.making import NOON
from tests.waiting import settled


class HandClock:
    def __init__(self) -> None:
        self.seconds = 0.0
        self.jumped = timedelta()  # of the database's clock alone
        self._sleeping: list[tuple[float, asyncio.Future[None]]] = []
        self.clock = Clock(self.now, lambda: self.seconds, self.sleep, new_id, lambda: 0.5)

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds)

    def database(self) -> datetime:
        return self.now() + self.jumped

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleeping.append((self.seconds + seconds, future))
        await future

    async def advance(self, seconds: float, step: float = 0.5) -> None:
        """Let time pass, in steps, and everything run that wakes up."""
        await settled()
        end = self.seconds + seconds
        while self.seconds < end:
            self.seconds = min(self.seconds + step, end)
            awake = [future for at, future in self._sleeping if at <= self.seconds]
            self._sleeping = [(at, future) for at, future in self._sleeping if at > self.seconds]
            for future in awake:
                if not future.done():
                    future.set_result(None)
            await settled()
