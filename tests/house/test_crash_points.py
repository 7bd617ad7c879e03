"""Has every step at which a role can die its crash point?"""

import inspect
from collections.abc import Mapping

import pytest

from infra.app import KINDS
from infra.drill.matrix.armed import found
from infra.drill.matrix.points import POINTS
from infra.drill.matrix.striking import WORKS

ASKS = "it only asks"
AGAIN = "it is done again anyhow: by the next beat, the next tick, or whoever starts"
WITHIN = "a part of the step that has points around it"
STEPS: Mapping[str, Mapping[str, str]] = {  # where something is changed: what needs no point of its own, and why
    "adapters.postgres.log:PostgresLog": {"drain": WITHIN, "read": ASKS, "streams": ASKS, "ledger": ASKS},
    "adapters.postgres.leadership:Leadership": {"lead": AGAIN, "heartbeat": AGAIN, "leads": ASKS},
    "adapters.nats.stream:LogStream": {
        **dict.fromkeys(("state", "id_at"), ASKS),
        **dict.fromkeys(("create", "bring_up_to_date", "delete"), AGAIN),
    },
    "adapters.postgres.mirror:MirroredLedger": {
        **dict.fromkeys(("lines", "head", "refill_from", "leads", "epoch", "reached_last"), ASKS),
        "new_epoch": "only after Postgres was restored: see tests/acceptance/test_restored.py",
        "tell": AGAIN,
    },
    "adapters.postgres.tasks:PostgresTasks": {
        **dict.fromkeys(("get", "queued", "due", "next_due", "unheard", "clock", "oldest_queued"), ASKS),
        "extend": AGAIN,
    },
    "adapters.postgres.files:": {
        "claim_unheld": "of the sweep, which finds again what it did not finish: see tests/contracts/test_files.py",
        "forget": "of the sweep",
        "remembered": ASKS,
    },
    "adapters.postgres.release:": {"step": "its points lie where the reader calls it, and inside"},
    "adapters.postgres.release:WaitingRows": {"get": ASKS, "waiting": ASKS, "settle": WITHIN},
    "adapters.files.local:LocalFiles": {
        "size": ASKS,
        "read": ASKS,
        "fetch": "what was fetched is thrown away with the attempt; whoever needs it begins behind it again",
        "remove": "of the sweep",
    },
    "adapters.files.local_uploads:LocalUploads": {
        **dict.fromkeys(("arrived", "lying", "path", "held"), ASKS),
        "write": "its points lie at what it does: add, and end",
        **dict.fromkeys(("locked", "hold", "release", "extend"), WITHIN),
    },
    "adapters.files.local_uploads:_Writer": {"leave": "the sender is gone, and nobody is told anything"},
    "adapters.http.receiving:": {
        **dict.fromkeys(("receive", "finish", "stored", "become"), "its points lie in the store and in the log"),
        **dict.fromkeys(("chunks_of", "folded", "wrong_offset", "require_alive", "rejected"), ASKS),
    },
    "adapters.http.keeping:": {
        **dict.fromkeys(("take_whole", "kept", "added", "streamed"), "its points lie in the store and in the log"),
        "head_of": ASKS,
    },
    "adapters.tools.shelf:Shelf": {
        **dict.fromkeys(("bench", "source", "fetch"), "what lies there is thrown away with the attempt"),
        "keep": "its points lie at what it does: summed, touched, put",
        "made": ASKS,
    },
    "adapters.tools.ffmpeg:Ffmpeg": {},
    "adapters.tools.images:Images": {},
    "adapters.tools.paper:Paper": {},
    "adapters.postgres.search:Rebuild": {},
    "infra.films:Films": {"read": ASKS},
    "infra.reports:Reports": dict.fromkeys(("read", "orders", "others"), ASKS),
    "infra.removal:Removal": {},
}


@pytest.mark.parametrize("name", POINTS)
def test_every_point_lies_at_a_function_of_the_program(name: str) -> None:
    assert callable(found(POINTS[name].where)[2])


@pytest.mark.parametrize("where", STEPS)
def test_a_new_step_needs_a_crash_point_or_a_reason(where: str) -> None:
    module, _, path = where.partition(":")
    holder = found(f"{where}.__init__" if path else f"{where}__doc__")[0]
    steps = {
        name
        for name, one in inspect.getmembers(holder, inspect.isfunction)
        if not name.startswith("_") and one.__module__ == module
    }
    inside = f"{where}." if path else where
    crashing = {
        name
        for point in POINTS.values()
        if point.where.startswith(inside)
        and not (name := point.where[len(inside) :]).startswith("_")
        and "." not in name
    }
    assert STEPS[where].keys() <= steps, "a reason for what is there"
    assert steps - STEPS[where].keys() == crashing


def test_every_work_comes_by_at_a_point_and_every_point_has_its_works() -> None:
    assert {kind for point in POINTS.values() for kind in point.kinds} == WORKS.keys()
    assert all(point.kinds for point in POINTS.values())


def test_every_kind_of_the_program_dies_at_a_point() -> None:
    made = {kind for work in WORKS.values() for kind in work.makes}
    assert {kind for kind, one in KINDS.items() if one.internal} <= made, "a new kind of heavy work is sent by a work"
