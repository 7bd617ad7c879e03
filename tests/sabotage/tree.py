"""A copy of the program, and a command run in it: every role that it starts runs the copy's code."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
LONGEST_S = 900.0  # of one command; it is expected within 600
END_S = 120.0  # to end the service, once it is asked to
SCRATCH = "scratch"


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command printed, and its exit code; `in_time` is false where it had to be ended."""

    code: int
    printed: str
    talk: str
    in_time: bool


@contextmanager
def copied(texts: Mapping[str, str]) -> Iterator[Path]:
    """A copy of all files that git knows, some with another text, for as long as the block runs."""
    with TemporaryDirectory(prefix="postcommit-sabotage-") as folder:
        copy = Path(folder) / "tree"
        (Path(folder) / SCRATCH).mkdir()
        for name in _tracked():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
        for name, text in texts.items():
            (copy / name).write_text(text)
        yield copy


def environment(copy: Path) -> dict[str, str]:
    """The caller's variables, without settings of his for the service. Python finds the copy first, and what is kept as
    evidence goes with it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("POSTCOMMIT_")}
    return kept | {"PYTHONPATH": str(copy), "TMPDIR": str(copy.parent / SCRATCH), "PYTHONDONTWRITEBYTECODE": "1"}


def run(copy: Path, argv: Sequence[str]) -> Ran:
    """Run Python with these arguments in the copy, and wait for its end."""
    process = subprocess.Popen(
        [sys.executable, *argv],
        cwd=copy,
        env=environment(copy),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        printed, talk = process.communicate(timeout=LONGEST_S)
        return Ran(process.returncode, printed, talk, True)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)  # it ends what it has started
        printed, talk = process.communicate(timeout=END_S)
        return Ran(process.returncode, printed, talk, False)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _tracked() -> list[str]:
    told = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in told.stdout.split("\0") if name and (ROOT / name).is_file()]
