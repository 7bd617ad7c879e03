"""Fuzz the whole service for as long as is wished: `make fuzz MINUTES=30`."""

import asyncio
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import cyclopts

from tests.acceptance.running import Running, balance, up
from tests.fuzz.run import ALL, command

app = cyclopts.App(help="Try the API with requests that schemathesis makes of its description.")


@app.default
def main(minutes: float = 30, seed: int = 1) -> int:
    """Start the embedded service, fuzz it, and look whether it is sound."""
    with TemporaryDirectory() as home, up(Path(home) / "home") as running:
        told = running.told
        limit = ("--max-time", str(int(minutes * 60)))
        code = subprocess.run(command(told["http"], told["keys"]["operator"], ALL, seed, *limit)).returncode
        return asyncio.run(_sound(running)) or code


async def _sound(running: Running) -> int:
    async with running.client() as client:
        print(f"The balance: {await balance(client)}")
        difference = (await balance(client))["difference"]
    found = await running.findings()
    print(f"Invariants that do not hold: {found or 'none'}")
    return int(difference != 0 or bool(found))


if __name__ == "__main__":
    sys.exit(app())
