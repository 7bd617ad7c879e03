"""The bells of the queues: they name tasks that wait for a worker, as a JSON list of ids. Whoever hears one claims."""

import json
from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from adapters.nats.names import queue_bell

MOST_NAMED = 50  # tasks that one bell names


class Rope(Protocol):
    """What a bell hangs on: a link to NATS."""

    async def ring(self, subject: str, payload: bytes = b"") -> None:
        """A doorbell: no answer, no promise."""


async def ring_queue(rope: Rope, queue: str, ids: Sequence[UUID]) -> None:
    """Ring for all of these tasks, in as many bells as it takes."""
    for begin in range(0, len(ids), MOST_NAMED):
        named = [str(id) for id in ids[begin : begin + MOST_NAMED]]
        await rope.ring(queue_bell(queue), json.dumps(named).encode())


def ids_of(payload: bytes) -> list[UUID]:
    """The tasks that a bell names: none where it is not one of ours."""
    try:
        return [UUID(id) for id in json.loads(payload)]
    except (ValueError, TypeError, AttributeError, RecursionError):
        return []
