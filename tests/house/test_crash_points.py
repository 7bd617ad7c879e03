"""Has every step at which a role can die its crash point?"""

import inspect

import pytest

from infra.drill.points import POINTS, found

STEPS = {  # whoever changes something, by where it is done; and what only asks, or is done again anyhow
    "adapters.postgres.log:PostgresLog": {"drain", "read", "streams", "ledger"},
    "adapters.postgres.leadership:Leadership": {"open", "lead", "heartbeat", "leads"},
    "adapters.nats.stream:LogStream": {"state", "id_at", "create", "bring_up_to_date", "delete"},
    "adapters.postgres.mirror:MirroredLedger": {"lines", "head", "refill_from", "leads", "epoch", "new_epoch", "tell"},
    "adapters.postgres.tasks:PostgresTasks": {
        *("extend", "get", "queued", "due", "next_due", "expired", "unheard", "clock", "oldest_queued"),
    },
}


@pytest.mark.parametrize("name", POINTS)
def test_every_point_lies_at_a_function_of_the_program(name: str) -> None:
    assert callable(found(POINTS[name].where)[2])


@pytest.mark.parametrize("where", STEPS)
def test_a_new_step_needs_a_crash_point_or_a_reason(where: str) -> None:
    holder = found(f"{where}.__init__")[0]
    steps = {
        name
        for name, one in inspect.getmembers(holder)
        if inspect.iscoroutinefunction(one) and not name.startswith("_")
    }
    crashing = {point.where.rpartition(".")[2] for point in POINTS.values() if point.where.startswith(f"{where}.")}
    assert steps - STEPS[where] == crashing
