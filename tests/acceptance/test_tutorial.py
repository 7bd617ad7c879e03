"""Is the tutorial true? Its commands are run as they stand, in one shell."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.embedded.home import free_port
from tests.acceptance.running import QUICK, ROOT

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = ["bash", "-euo", "pipefail", "-c"]


def test_the_tutorial_is_true(tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    [setup, *steps, stop] = BLOCK.findall((ROOT / "docs/tutorial.md").read_text())
    assert setup == "make demo\n", "which takes its time, and is tried by everybody"
    typed = "".join(steps).replace("8000", str(free_port()))
    with ending(tmp_path / "data/run.json"):
        told = subprocess.run([*SHELL, typed], cwd=tmp_path, env=os.environ | QUICK, capture_output=True, text=True)
        assert told.returncode == 0, told.stdout + told.stderr
        subprocess.run([*SHELL, stop], cwd=tmp_path, check=True)
    for words in ("{'payload': 'hello', 'attempt': 1}", "exit code 10", "Welcome, Ada", "order.confirmed"):
        assert words in told.stdout, told.stdout
    assert '"difference":0' in told.stdout
    tasks = json.loads((tmp_path / "accepted.json").read_text())["items"]
    assert sum(f"{task['id']}  probe  complete" in told.stdout for task in tasks) == 50


@contextmanager
def ending(run: Path) -> Iterator[None]:
    """However the block ends, no supervisor is left behind."""
    try:
        yield
    finally:
        for pid in json.loads(run.read_text())["pids"]["supervisor"] if run.exists() else ():
            os.kill(pid, signal.SIGTERM)
