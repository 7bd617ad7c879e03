"""Do the bells of a queue name its tasks, whoever rings them?"""

import json
from uuid import UUID

import pytest

from adapters.nats.bells import MOST_NAMED, ids_of, ring_queue


class Rung:
    """A link that keeps what it was to ring."""

    def __init__(self) -> None:
        self.bells: list[tuple[str, bytes]] = []

    async def ring(self, subject: str, payload: bytes = b"") -> None:
        self.bells.append((subject, payload))


@pytest.mark.parametrize("count", [0, 1, MOST_NAMED, MOST_NAMED + 1, 1_000])
async def test_every_task_is_named_once_in_bells_of_bounded_size(count: int) -> None:
    link, ids = Rung(), [UUID(int=number) for number in range(count)]
    await ring_queue(link, "email", ids)  # type: ignore[arg-type]
    assert [id for _, payload in link.bells for id in ids_of(payload)] == ids
    assert {subject for subject, _ in link.bells} <= {"bells.v1.queue.email"}
    assert all(len(json.loads(payload)) <= MOST_NAMED for _, payload in link.bells)


@pytest.mark.parametrize("payload", [b"", b"1", b"null", b"{", b'["x"]', b"[1]", b"\xff", b"[" * 100_000])
def test_a_bell_that_is_none_of_ours_names_nothing(payload: bytes) -> None:
    assert ids_of(payload) == []
