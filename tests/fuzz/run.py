"""How schemathesis is started: as its user does, with our settings."""

import sys
from pathlib import Path

CONFIG = Path(__file__).with_name("schemathesis.toml")
ALL = "examples,coverage,fuzzing,stateful"


def command(http: str, key: str, phases: str, seed: int, *options: str) -> list[str]:
    """Tries the API at this address with this key; its exit code is 0 where nothing was found."""
    program = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIG), "run"]
    settings = ["--header", f"Authorization: Bearer {key}", "--phases", phases, "--seed", str(seed)]
    return [*program, f"{http}/openapi.json", *settings, "--continue-on-failure", "--no-color", *options]
