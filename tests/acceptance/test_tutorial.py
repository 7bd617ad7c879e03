"""Are the pages true that are typed from beginning to end? Their commands are run as they stand, in one shell."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from infra.embedded.home import free_port
from tests.acceptance.running import QUICK, ROOT
from tests.films import film, seen

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SETTINGS = QUICK | {"POSTCOMMIT_VIDEO_SIDES": "180,360", "POSTCOMMIT_VIDEO_PRESET": "ultrafast"}
SHELL = ["bash", "-euo", "pipefail", "-c"]


def test_the_tutorial_is_true(tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    [setup, *steps, stop] = BLOCK.findall((ROOT / "docs/tutorial.md").read_text())
    assert setup == "make demo\n", "which takes its time, and is tried by everybody"
    with ending(tmp_path / "data/run.json"):
        told = typed(steps, tmp_path)
        subprocess.run([*SHELL, stop], cwd=tmp_path, check=True)
    for words in ("{'payload': 'hello', 'attempt': 1}", "exit code 10", "Welcome, Ada", "order.confirmed"):
        assert words in told, told
    assert '"difference":0' in told
    tasks = json.loads((tmp_path / "accepted.json").read_text())["items"]
    assert sum(f"{task['id']}  probe  complete" in told for task in tasks) == 50


def test_the_page_about_videos_is_true(tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    source = film(tmp_path / "film.mp4", 20.0, size="640x360", rate="25")
    with ending(tmp_path / "data/run.json"):
        told = typed(BLOCK.findall((ROOT / "docs/background-tasks-to-video.md").read_text()), tmp_path)
    assert '"status":"complete"' in (tmp_path / "told.txt").read_text().splitlines()[-2], told
    assert "#EXT-X-STREAM-INF" in told and "not_a_film" in told, told
    assert len(seen(tmp_path / "played.mp4").frames) == len(seen(source).frames)


def typed(steps: Sequence[str], folder: Path) -> str:
    """What a shell prints that these are typed into."""
    lines = "".join(steps).replace("8000", str(free_port()))
    told = subprocess.run([*SHELL, lines], cwd=folder, env=os.environ | SETTINGS, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout


@contextmanager
def ending(run: Path) -> Iterator[None]:
    """However the block ends, no supervisor is left behind."""
    try:
        yield
    finally:
        for pid in json.loads(run.read_text())["pids"]["supervisor"] if run.exists() else ():
            os.kill(pid, signal.SIGTERM)
