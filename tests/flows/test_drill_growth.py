"""Does the drill see what grows without end, and whose child is whose? And is its verdict a page?"""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from infra.drill.descent import below
from infra.drill.disk import Disk
from infra.drill.faults import fault
from infra.drill.faults.fault import Missed, struck
from infra.drill.growth import DEAD_ROWS, DESCRIPTORS, FLOOR_BYTES, MEMORY_MIB, Peaks
from infra.drill.report import page
from tests.waiting import until

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("peaks", "named"),
    [
        (Peaks(memory_mib={"api": MEMORY_MIB}, descriptors={"api": DESCRIPTORS}, disk_mib={"nats": 100}), []),
        (Peaks(memory_mib={"api": MEMORY_MIB + 1}), [f"memory of api: {MEMORY_MIB + 1} MiB"]),
        (Peaks(descriptors={"relay": DESCRIPTORS + 1}), [f"descriptors of relay: {DESCRIPTORS + 1}"]),
        (
            Peaks(dead_rows={"outbox": DEAD_ROWS + 1}, dead_beyond={"outbox"}),
            [f"dead rows of outbox: {DEAD_ROWS + 1}"],
        ),
        (Peaks(disk_mib={"nats": FLOOR_BYTES // MIB + 2}), [f"disk of nats: {FLOOR_BYTES // MIB + 2} MiB of 3 facts"]),
    ],
)
def test_what_is_more_than_is_allowed_is_named(peaks: Peaks, named: list[str]) -> None:
    assert peaks.beyond(3) == named


async def test_of_those_who_descend_from_a_process_only_who_works_on_a_disk_is_killed(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    begun = f"(cd {tmp_path}/disk && sleep 60) & sleep 60 & echo begun; wait"
    parent = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", begun), stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    try:
        assert parent.stdout is not None
        assert await parent.stdout.readline() == b"begun\n"
        children, disk = frozenset(below(parent.pid)), Disk(tmp_path / "disk.img", tmp_path / "disk")
        assert len(children) >= 2
        await until(lambda: not disk.killed(children))
        await until(lambda: disk.killed(children))
        assert below(parent.pid), "who works elsewhere lives on"
    finally:
        os.killpg(parent.pid, signal.SIGKILL)
        await parent.wait()


async def test_a_fault_that_meets_nothing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fault, "TRIES_S", 0.1)

    async def nothing() -> int:
        return 0

    with pytest.raises(Missed, match="no connection to smtp"):
        await struck(nothing, "connection to smtp")


def test_a_verdict_is_a_page_that_names_what_is_wrong() -> None:
    figures = {
        **{"tasks": 7, "loss_below": 0.0004, "tasks_by_kind": {"probe": 7}, "faults_by_kind": {"kill:api": 1}},
        **{"duplicates_by_fault": {}, "answers_by_status": {202: 7}, "answered": {"ok": 7}},
        "recovery_s": {
            **{"p50": 0.1, "p99": 2.0, "max": 2.0, "slowest": ["2.0 s after kill:api: probe x"]},
            **{"worst_by_fault": {"kill:api": 2.0}, "with_its_needs": {"p50": 0.1, "p99": 1.0, "max": 1.0}},
        },
        "peaks": {"memory_mib": {"api": 120, "relay": 100}},
    }
    told = {
        **{"good": False, "seed": 3, "minutes": 10.0, "skipped": ["power-cut:all"], "figures": figures},
        **{"wrong": {"lost": ["x: probe"], "stuck": []}, "command": "postcommit drill", "begun": "a", "ended": "b"},
        **{"machine": {"processors": 2}, "versions": {"python": "3.11.7"}},
    }
    shown = page(told)
    assert shown.startswith("# A drill of 10 minutes, seed 3: NOT GOOD\n")
    for line in (
        "| lost | 1 |",
        "- lost: x: probe",
        "| memory_mib | api 120, relay 100 |",
        "| loss_below | 0.000400 |",
    ):
        assert line in shown
