"""A lane gathers what comes while a statement is in flight, and sends it out together: no timer, no wait when idle."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

Run = Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]]
"""Does many items at once; answers for each, in order, with its result or its error. Raises if none was done."""


class Full(Exception):
    """Too many items wait already."""


class Lane(Generic[Item, Result]):
    """At most `flights` statements at once, each with at most `most` items of together at most `most_bytes`. At most
    `backlog` items of together about `backlog_bytes` wait.

    A statement that is refused for the sake of one item is split until only that item is refused."""

    def __init__(
        self,
        run: Run[Item, Result],
        *,
        size: Callable[[Item], int] = lambda _: 1,
        flights: int = 2,
        most: int = 200,
        most_bytes: int = 4 * 1024 * 1024,
        backlog: int = 10_000,
        backlog_bytes: int = 256 * 1024 * 1024,
        splits: tuple[type[Exception], ...] = (),
    ) -> None:
        self._run, self._size, self._splits = run, size, splits
        self._flights, self._most, self._most_bytes = flights, most, most_bytes
        self._backlog, self._backlog_bytes, self._bytes = backlog, backlog_bytes, 0
        self._waiting: deque[tuple[Item, asyncio.Future[Result], int]] = deque()  # with the item's bytes
        self._flying: set[asyncio.Task[None]] = set()

    async def do(self, item: Item) -> Result:
        """Wait until the item was done. Raises Full, or whatever its own error is.

        A caller that is cancelled while it waits does not stop what is in flight."""
        if len(self._waiting) >= self._backlog or self._bytes > self._backlog_bytes:
            raise Full
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        size = self._size(item)
        self._waiting.append((item, future, size))
        self._bytes += size
        self._take_off()
        return await future

    async def drain(self) -> None:
        """Wait until nothing waits and nothing flies."""
        while self._flying:
            await asyncio.wait(self._flying)

    def _take_off(self) -> None:
        while self._waiting and len(self._flying) < self._flights:
            flight = asyncio.create_task(self._fly(self._gather()))
            self._flying.add(flight)
            flight.add_done_callback(self._landed)

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flying.discard(flight)
        self._take_off()

    def _gather(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        taken: list[tuple[Item, asyncio.Future[Result]]] = []
        room = self._most_bytes
        while self._waiting and len(taken) < self._most:
            item, future, size = self._waiting[0]
            room -= size
            if taken and room < 0:
                break
            self._waiting.popleft()
            self._bytes -= size
            taken.append((item, future))
        return taken

    async def _fly(self, taken: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results: Sequence[Result | Exception] = await self._run([item for item, _ in taken])
        except self._splits as error:
            if len(taken) > 1:
                middle = len(taken) // 2
                await self._fly(taken[:middle])
                await self._fly(taken[middle:])
                return
            results = [error]
        except Exception as error:
            results = [error] * len(taken)
        for (_, future), result in zip(taken, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
