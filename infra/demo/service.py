"""The service as the demo drives it: started, asked, signalled and stopped from outside, as a user would."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

READY = "postcommit is ready"


@dataclass(frozen=True, slots=True)
class Service:
    home: Path
    process: "subprocess.Popen[str]"

    @property
    def run(self) -> dict[str, Any]:
        """run.json as it is now."""
        found: dict[str, Any] = json.loads((self.home / "run.json").read_text())
        return found

    @property
    def http(self) -> str:
        return str(self.run["http"])

    @property
    def postgres(self) -> str:
        return str(self.run["postgres"])

    @property
    def operator(self) -> dict[str, str]:
        """The operator's header."""
        return {"Authorization": f"Bearer {self.run['keys']['operator']}"}

    def pids(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = self.run["pids"]
        return found

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def check(self) -> bool:
        """Whether `postcommit check` finds nothing."""
        command = [sys.executable, "-m", "infra.cli", "check", "--home", str(self.home)]
        child = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return await child.wait() == 0


@contextmanager
def started(home: Path, environ: dict[str, str]) -> Iterator[Service]:
    """`postcommit up` on the directory for as long as the block runs. Raises RuntimeError with what it said."""
    command = [sys.executable, "-m", "infra.cli", "up", "--home", str(home), "--port", "0"]
    with tempfile.TemporaryFile("w+") as talk:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=talk, text=True, env=os.environ | environ)
        assert process.stdout is not None
        try:
            if READY not in process.stdout.readline():
                process.wait(30)
                talk.seek(0)
                raise RuntimeError(f"postcommit did not start: {talk.read()}")
            yield Service(home, process)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
