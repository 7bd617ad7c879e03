"""Time, ids and chance, as the roles are given them."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import uuid_utils.compat


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562)."""
    return uuid_utils.compat.uuid7()


def _now() -> datetime:
    return datetime.now(UTC)


def moved(offset_s: float) -> "Clock":
    """A clock that is wrong by so many seconds; what it measures is right."""
    return Clock(now=lambda: _now() + timedelta(seconds=offset_s)) if offset_s else Clock()


@dataclass(frozen=True, slots=True)
class Clock:
    """What a loop may know of time and chance. A simulation hands it another one."""

    now: Callable[[], datetime] = _now
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    new_id: Callable[[], UUID] = new_id
    chance: Callable[[], float] = random.random
