"""A disk of the drill's own: a file system in a file, whose power can be cut and which can be filled. As root only."""

import fcntl
import os
import signal
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

EXT4_IOC_SHUTDOWN, NOT_EVEN_THE_JOURNAL = 0x8004587D, 2  # fs/ext4/ext4.h of Linux
BALLAST = "ballast"


class Absent(Exception):
    """There can be no such disk here; the message says why."""


@dataclass(frozen=True, slots=True)
class Disk:
    """An ext4 file system in a file."""

    image: Path
    path: Path

    def plug_in(self) -> None:
        subprocess.run(["mount", "-o", "loop", str(self.image), str(self.path)], check=True, capture_output=True)

    def cut_the_power(self) -> None:
        """What was not written yet never will be."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", NOT_EVEN_THE_JOURNAL))
        finally:
            os.close(descriptor)

    def unplugged(self) -> bool:
        """Whether it could be taken out: nobody works on it any more."""
        return subprocess.run(["umount", str(self.path)], capture_output=True).returncode == 0

    def fill(self) -> None:
        """Leave no room."""
        told = os.statvfs(self.path)
        with suppress(OSError), (self.path / BALLAST).open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, told.f_bavail * told.f_frsize)

    def free(self) -> None:
        (self.path / BALLAST).unlink(missing_ok=True)

    def killed(self, own: frozenset[int]) -> bool:
        """kill -9 of those of the processes that still work there; whether there was none.

        Sessions of Postgres can hang for good when their disk is gone."""
        found = [pid for pid in own if _works_in(pid, self.path)]
        for pid in found:
            with suppress(ProcessLookupError):  # it has ended since
                os.kill(pid, signal.SIGKILL)
        return not found


@contextmanager
def plugged(folder: Path, size_bytes: int) -> Iterator[Disk]:
    """A fresh one in the folder, for as long as the block runs; its file, which takes what is used, is kept. Raises
    Absent."""
    if os.geteuid() != 0:
        raise Absent("it needs root: it mounts a file system of its own")
    disk = Disk(folder / "disk.img", folder / "disk")
    disk.path.mkdir()
    with disk.image.open("wb") as file:
        file.truncate(size_bytes)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(disk.image)], check=True, capture_output=True)
        disk.plug_in()
    except (OSError, subprocess.CalledProcessError) as error:
        disk.image.unlink()
        disk.path.rmdir()
        raise Absent(f"it needs a loop mount: {getattr(error, 'stderr', None) or error}") from error
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk.path)], capture_output=True)  # it may be unplugged already


def _works_in(pid: int, folder: Path) -> bool:
    """Whether the process has its working directory or an open file there."""
    try:
        named = [Path(f"/proc/{pid}/cwd"), *Path(f"/proc/{pid}/fd").iterdir()]
        return any(Path(one.readlink()).is_relative_to(folder) for one in named)
    except OSError:
        return False  # it has ended
