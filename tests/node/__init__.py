"""Packages for Node and browsers, as their users have them: `package.json` names them."""

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BUILT = HERE.parents[1] / "build" / "node"
LISTS = ("package.json", "package-lock.json")


def packages() -> Path:
    """The folder `node_modules`, fetched the first time. The test is skipped where there is no npm, or it gets none."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("No npm is installed to fetch tus-js-client and hls.js.")
    ready = BUILT / ".ready"
    wanted = (HERE / "package-lock.json").read_text()
    if not ready.exists() or ready.read_text() != wanted:
        BUILT.mkdir(parents=True, exist_ok=True)
        for name in LISTS:
            shutil.copy(HERE / name, BUILT / name)
        argv = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        fetched = subprocess.run(argv, cwd=BUILT, capture_output=True, text=True)
        if fetched.returncode:
            pytest.skip(f"npm cannot fetch tus-js-client and hls.js: {fetched.stderr[-500:]}")
        ready.write_text(wanted)
    return BUILT / "node_modules"


def node(script: str) -> list[str]:
    """The command that runs this script of ours beside its packages."""
    found = shutil.which("node")
    if found is None:
        pytest.skip(f"No Node is installed to run {script}.")
    packages()
    return [found, shutil.copy(HERE / script, BUILT / script)]
