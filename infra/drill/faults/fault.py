"""A fault: it strikes the service from outside, and is over when its function returns."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from infra.drill.service import Service

Strike = Callable[[Service, float, Random], Awaitable[None]]
"""Strikes the service for so many seconds, by chance; returns when the fault is over. Raises Missed."""
TRIES_S = 30.0  # within which it must have struck
BOTH = frozenset({"email", "webhook"})
T = TypeVar("T")


class Missed(Exception):
    """It found nothing to strike."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`touches` names the effects that it may repeat (`email`, `webhook`), because it can cut off a worker between the
    far side's taking them and the commit. It is drawn `weight` times as often as others."""

    strike: Strike
    lasts_s: tuple[float, float] = (0.0, 0.0)
    touches: frozenset[str] = frozenset()
    weight: int = 1


async def struck(attempt: Callable[[], Awaitable[T]], what: str) -> T:
    """What the attempt answers, once that is something. Raises Missed where it never does."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + TRIES_S
    while not (found := await attempt()):
        if loop.time() > deadline:
            raise Missed(f"In {TRIES_S:.0f} s there was no {what}.")
        await asyncio.sleep(0.02)
    return found
