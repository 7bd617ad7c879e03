"""Does the drill drill, and does it refuse what is not its own? The short form; campaigns are `make drill`."""

import json
import subprocess
import sys
from pathlib import Path

from infra.exits import DONE, REFUSED, USAGE
from tests.acceptance.running import ROOT


def drill(*options: str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "infra.cli", "drill", *options]
    return subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, timeout=240)


def test_a_short_drill_finds_nothing_wrong(tmp_path: Path) -> None:
    faults = [word for name in ("kill:worker", "kill:nats", "answer-lost:smtp") for word in ("--faults", name)]
    done = drill("--minutes", "0.3", "--seed", "3", *faults, "--home", str(tmp_path / "home"), "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["good"]) == (DONE, True), told["wrong"]
    assert told["figures"]["faults"] >= 3
    assert told["figures"]["tasks_by_kind"].keys() >= {"probe", "email_welcome", "warehouse_notify"}
    assert told["figures"]["tasks"] >= 100
    again = drill("--home", str(tmp_path / "home"))
    assert (again.returncode, "is not empty" in again.stderr) == (REFUSED, True)


def test_a_fault_that_nobody_knows_is_refused() -> None:
    done = drill("--faults", "earthquake")
    assert (done.returncode, "kill:worker" in done.stderr) == (USAGE, True)
