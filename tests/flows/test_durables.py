"""Where do the workers' durables begin, and what if NATS refuses one? Real ones: contracts/test_nats_durable.py."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.nats.api import ApiError, NoAnswer
from infra.clock import Clock
from infra.roles.durables import Durables

FIRST, HEAD = 5, 90
OLDEST = {"default": 70, "email": None, "video": 3}  # the video task is older than what the stream still has


@dataclass
class Nats:
    """A server that notes where each durable was to begin, and how far the stream was said to be compared."""

    refuses: Exception | None = None
    starts: dict[str, int] = field(default_factory=dict)
    kept: list[tuple[int, int, int]] = field(default_factory=list)
    up: bool = True

    def stream(self) -> Any:
        async def state() -> Any:
            return SimpleNamespace(first=FIRST)

        async def bring_up_to_date() -> bool:
            return False

        return SimpleNamespace(state=state, bring_up_to_date=bring_up_to_date)

    async def ensure(self, queue: str, start: Callable[[], Awaitable[int]], anew: bool = False) -> bool:
        if self.refuses and queue == "email":
            raise self.refuses
        self.starts[queue] = await start()
        return anew

    async def keep(self, first: int, mirrored: int, head: int) -> None:
        self.kept.append((first, mirrored, head))


def durables(nats: Nats) -> Durables:
    async def head() -> int:
        return HEAD

    async def oldest_queued(queue: str) -> int | None:
        return OLDEST[queue]

    ledger: Any = SimpleNamespace(head=head, mirrored=80)
    rows: Any = SimpleNamespace(oldest_queued=oldest_queued)
    return Durables(nats, rows, ledger, list(OLDEST), Clock(), (ApiError, NoAnswer))  # type: ignore[arg-type]


async def test_each_begins_at_the_oldest_task_of_its_own_queue() -> None:
    await durables(nats := Nats()).renew()
    assert nats.starts == {"default": 70, "video": FIRST, "email": HEAD + 1}


async def test_what_registered_consumers_took_of_a_stream_that_went_back_is_not_yet_believed() -> None:
    await durables(nats := Nats()).renew()
    assert nats.kept == [(FIRST, 0, HEAD)]


async def test_a_task_that_is_numbered_meanwhile_lies_behind_the_beginning() -> None:
    role = durables(nats := Nats())

    async def head() -> int:
        return HEAD + numbered

    async def oldest_queued(queue: str) -> int | None:
        nonlocal numbered
        numbered += 1  # just after Postgres had answered that there is none
        return None

    numbered = 0
    role.queues, role.ledger.head, role.rows.oldest_queued = ["default"], head, oldest_queued
    await role.renew()
    assert nats.starts == {"default": HEAD + 1}


async def test_what_the_stream_takes_while_it_is_asked_is_not_yet_compared() -> None:
    role = durables(nats := Nats())
    asked = nats.stream()

    async def state() -> Any:
        role.ledger.mirrored += 1
        return SimpleNamespace(first=FIRST)

    asked.state, nats.stream = state, lambda: asked
    await role._provide()
    assert nats.kept == [(FIRST, 80, HEAD)]


async def test_one_that_nats_refuses_stops_neither_the_mirror_nor_those_behind_it() -> None:
    refused = ApiError("CONSUMER.DURABLE.CREATE", 10026, "maximum consumers limit reached")
    await durables(nats := Nats(refused)).renew()
    assert nats.starts.keys() == {"default", "video"}
    assert nats.kept == [(FIRST, 0, HEAD)]


async def test_a_silent_server_is_told_to_the_mirror_which_tries_again() -> None:
    with pytest.raises(NoAnswer):
        await durables(Nats(NoAnswer("CONSUMER.DURABLE.CREATE"))).renew()
