"""Does the drill drill, and does it refuse what is not its own? The short form; campaigns are `make drill`."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from infra.exits import DONE, FAILED, REFUSED, USAGE
from tests.acceptance.running import ROOT
from tests.waiting import until

SCHEMA = json.loads((ROOT / "docs/schemas/command-line.json").read_text())


def drill(*options: str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "infra.cli", "drill", *options]
    return subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, timeout=240)


def test_a_short_drill_finds_nothing_wrong(tmp_path: Path) -> None:
    faults = [word for name in ("kill:worker", "kill:nats", "answer-lost:smtp") for word in ("--faults", name)]
    done = drill("--minutes", "0.3", "--seed", "3", *faults, "--home", str(tmp_path / "home"), "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["good"]) == (DONE, True), told["wrong"]
    schema = SCHEMA | {"$ref": "#/$defs/drill"}
    assert [error.message for error in Draft202012Validator(schema).iter_errors(told)] == []
    assert told["figures"]["faults"] >= 3
    assert told["figures"]["tasks_by_kind"].keys() >= {"probe", "email_welcome", "warehouse_notify"}
    assert told["figures"]["tasks"] >= 100
    again = drill("--home", str(tmp_path / "home"))
    assert (again.returncode, "is not empty" in again.stderr) == (REFUSED, True)


def test_a_fault_that_nobody_knows_is_refused() -> None:
    done = drill("--faults", "earthquake")
    assert (done.returncode, "kill:worker" in done.stderr) == (USAGE, True)


@pytest.mark.parametrize(
    "option", [("--minutes", "0"), ("--settle-s", "0"), ("--settle-s", "61"), ("--settle-s", "nan")]
)
def test_a_time_that_makes_no_sense_is_refused(option: tuple[str, str]) -> None:
    done = drill(*option)
    assert (done.returncode, "should be more than 0" in done.stderr) == (REFUSED, True)


async def test_a_drill_that_is_told_to_end_leaves_nobody_behind(tmp_path: Path) -> None:
    home = tmp_path / "home"
    argv = [sys.executable, "-m", "infra.cli", "drill", "--faults", "kill:worker", "--home", str(home)]
    process = await asyncio.create_subprocess_exec(*argv, stderr=asyncio.subprocess.PIPE, cwd=ROOT)
    assert process.stderr is not None
    while b"kill:worker" not in await process.stderr.readline():
        assert process.returncode is None
    pids = json.loads((home / "service/run.json").read_text())["pids"]
    process.terminate()
    said = await process.stderr.read()
    assert (await process.wait(), b"before its verdict" in said) == (FAILED, True), said
    await until(lambda: not [pid for found in pids.values() for pid in found if Path(f"/proc/{pid}").exists()])
