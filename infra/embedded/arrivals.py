"""What the sinks of the embedded mode have taken: one whole file each, under a name that sorts by time."""

import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

from infra.embedded.child import open_private


def store(folder: Path, suffix: str, content: bytes) -> Path:
    """Write it so that it survives a power cut; the name is the time (UTC) and a bit of chance."""
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(4)}"
    fresh, final = folder / f".{name}.tmp", folder / f"{name}.{suffix}"
    with os.fdopen(open_private(fresh, os.O_EXCL), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(final)
    _sync(folder)
    return final


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
