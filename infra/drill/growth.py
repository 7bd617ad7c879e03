"""Whether something grows without end: memory, open files, dead rows, the disk."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from infra.drill.service import ROLES, Service
from infra.drill.watching import AWAY

LOOK_S = 5.0
MEMORY_MIB, DESCRIPTORS = 512, 512  # of one process of a role
DEAD_ROWS, DEAD_SHARE = 50_000, 0.5  # of one table: so many, and that share of the living
DISK_BYTES_A_FACT = 32 * 1024  # of Postgres and of NATS, with all their indexes and logs
FLOOR_BYTES = 2 * 1024**3  # what they take at the beginning: segments of the WAL
DEAD = "SELECT relname, n_dead_tup, n_live_tup FROM pg_stat_user_tables WHERE schemaname = 'postcommit'"


@dataclass(slots=True)
class Peaks:
    """The most of each that was seen."""

    memory_mib: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # role -> of one process
    descriptors: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    dead_rows: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # table -> rows
    disk_mib: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # server -> of its directory
    dead_beyond: set[str] = field(default_factory=set)  # tables with more than is allowed, at the last look
    looks: int = 0

    def beyond(self, facts: int) -> list[str]:
        """What is more than is allowed."""
        allowed_mib = (FLOOR_BYTES + DISK_BYTES_A_FACT * facts) // 1024**2
        return [
            *(f"memory of {name}: {mib} MiB" for name, mib in self.memory_mib.items() if mib > MEMORY_MIB),
            *(f"descriptors of {name}: {n}" for name, n in self.descriptors.items() if n > DESCRIPTORS),
            *(f"dead rows of {name}: {self.dead_rows[name]}" for name in sorted(self.dead_beyond)),
            *(
                f"disk of {name}: {mib} MiB of {facts} facts"
                for name, mib in self.disk_mib.items()
                if mib > allowed_mib
            ),
        ]

    def figures(self) -> Mapping[str, object]:
        return {
            "memory_mib": dict(self.memory_mib),
            "descriptors": dict(self.descriptors),
            "dead_rows": {name: rows for name, rows in self.dead_rows.items() if rows >= 100},
            "disk_mib": dict(self.disk_mib),
            "looks": self.looks,
        }


async def look(service: Service, peaks: Peaks) -> None:
    """Look every few seconds, until cancelled; what is away just then is looked at later."""
    while True:
        await asyncio.to_thread(_of_processes, service, peaks)
        with suppress(*AWAY):
            await _of_tables(service, peaks)
            peaks.looks += 1
        await asyncio.sleep(LOOK_S)


def _of_processes(service: Service, peaks: Peaks) -> None:
    for name, pid in _running(service):
        with suppress(OSError):  # it has just ended
            _raise(peaks.memory_mib, name, _memory_mib(pid))
            _raise(peaks.descriptors, name, len(list(Path(f"/proc/{pid}/fd").iterdir())))
    for server in ("postgres", "nats"):
        with suppress(OSError):  # a folder of it goes meanwhile, or its disk
            _raise(peaks.disk_mib, server, _size_mib(service.home / server))


def _running(service: Service) -> list[tuple[str, int]]:
    """Each process of a role; none while nothing is ready: run.json is away then."""
    try:
        pids = service.run["pids"]
    except (OSError, ValueError):
        return []
    return [(name, pid) for name in ROLES for pid in pids[name]]


async def _of_tables(service: Service, peaks: Peaks) -> None:
    async with asyncio.timeout(LOOK_S), service.postgres() as connection:
        rows = await connection.fetch(DEAD)
    for row in rows:
        _raise(peaks.dead_rows, row["relname"], row["n_dead_tup"])
    peaks.dead_beyond = {
        row["relname"] for row in rows if row["n_dead_tup"] > max(DEAD_ROWS, DEAD_SHARE * row["n_live_tup"])
    }


def _raise(peaks: dict[str, int], name: str, value: int) -> None:
    peaks[name] = max(peaks[name], value)


def _memory_mib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) // 1024
    return 0


def _size_mib(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # it has gone meanwhile
            size += path.stat().st_blocks * 512
    return size // 1024**2
