"""Runs a program on a foreign file, in a child that can do nothing else; see children/confine.py for what it gives up.

The child reads the one file by its standard input, what was made before from a folder that it cannot write to, and
writes into a folder of its own. It dies with this process, and with whoever waits for it."""

import asyncio
import ctypes
import json
import os
import signal
import stat
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from domain.file import Full

CONFINE = str(Path(__file__).with_name("children") / "confine.py")
SYSTEM = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/dev/null", "/dev/urandom")
NICE = 19
AGAIN_S = 0.1
MOST_OUT = 4 * 1024 * 1024  # bytes of what it may say
MOST_WORDS = 2_000  # bytes of its last words
OPEN_FILES = 64
REFUSED = 126


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one child may use; `cpu_s` counts all of its threads."""

    wall_s: float
    cpu_s: float
    memory_bytes: int = 4 * 1024**3  # of address space
    file_bytes: int = 64 * 1024**3  # of each file that it writes

    def as_resources(self) -> dict[str, int]:
        return {
            "RLIMIT_CPU": max(int(self.cpu_s), 1),  # told by a signal of its own, before it is killed
            "RLIMIT_AS": self.memory_bytes,
            "RLIMIT_FSIZE": self.file_bytes,
            "RLIMIT_NOFILE": OPEN_FILES,
            "RLIMIT_CORE": 0,
        }


class Broken(Exception):
    """The program ended badly; the message holds its last words."""


class TooMuch(Broken):
    """It wanted more time of the processor, memory or room than it may have."""


class Hindered(Broken):
    """It did not come to its end for reasons that need not be its own: it had to wait for too long, or was killed."""


class Unsafe(Exception):
    """Children cannot be confined on this machine; the message says why."""


async def run(
    argv: Sequence[str],
    *,
    limits: Limits,
    source: int | None = None,
    given: Path | None = None,
    made: Path | None = None,
    heard: Callable[[str], None] | None = None,
    readable: Sequence[str] = (),
) -> bytes:
    """Run the program, and answer with what it wrote to its standard output; `heard` gets that by lines instead.

    `source` is a descriptor, its standard input; `given` can be read, `made` written.
    Raises Broken, TooMuch, Hindered, Full, Unsafe."""
    told = {
        "parent": os.getpid(),
        "nice": NICE,
        "limits": limits.as_resources(),
        "readable": [*SYSTEM, *readable, *([str(given)] if given else [])],
        "writable": [str(made)] if made else [],
        "environment": {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/", "TMPDIR": str(made or "/")},
    }
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", CONFINE, json.dumps(told), *argv),
        stdin=asyncio.subprocess.DEVNULL if source is None else source,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=made or "/",
        env={},
        start_new_session=True,
    )
    behind = asyncio.create_task(_give_way(child))
    try:
        async with asyncio.timeout(limits.wall_s):
            out, words = await asyncio.gather(_said(child, heard), _last_words(child))
            code = await child.wait()
    except TimeoutError:
        raise Hindered(f"It took longer than {limits.wall_s:.0f} s.") from None
    finally:
        behind.cancel()
        await _gone(child)
    if code:
        _tell(code, words)
    return out


def plain(path: Path) -> BufferedReader:
    """What a child has made, to be read; neither a link to what is not its own, nor a pipe. Raises Broken."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Broken(f"It made no file {path.name}: {error.strerror}.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Broken(f"What it made as {path.name} is no file.")
    return os.fdopen(descriptor, "rb")


def has_landlock() -> bool:
    """Whether the kernel lets children be kept away from files; without that they can read what this user can."""
    create_ruleset, tell_version = 444, 1  # linux/landlock.h
    return int(ctypes.CDLL(None).syscall(create_ruleset, None, 0, tell_version)) >= 1


async def _give_way(child: asyncio.subprocess.Process) -> None:
    """Linux weighs sessions against one another before it looks at the processes in them (sched(7), autogroup): that
    the child is nice counts for nothing outside of its session, unless that is nice, too. Who is not root may say so
    ten times a second, all processes together."""
    while child.returncode is None:
        if _gave_way(child.pid):
            return
        await asyncio.sleep(AGAIN_S)


def _gave_way(pid: int) -> bool:
    """Whether there is nothing left to do for its session."""
    try:
        Path(f"/proc/{pid}/autogroup").write_text(str(NICE))
    except BlockingIOError:
        return False
    except OSError:  # it has ended, or this kernel has no such groups
        return True
    return True


async def _said(child: asyncio.subprocess.Process, heard: Callable[[str], None] | None) -> bytes:
    """Its output; more than the most is left aside, and so is a line without an end."""
    assert child.stdout is not None, "It is piped."
    said, rest = bytearray(), b""
    while chunk := await child.stdout.read(65_536):
        if heard is None:
            said += chunk[: MOST_OUT - len(said)]
            continue
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[-MOST_WORDS:]
        for line in lines:
            heard(line.decode(errors="replace"))
    return bytes(said)


async def _last_words(child: asyncio.subprocess.Process) -> str:
    assert child.stderr is not None, "It is piped."
    words = b""
    while chunk := await child.stderr.read(65_536):
        words = (words + chunk)[-MOST_WORDS:]
    return words.decode(errors="replace").strip()


async def _gone(child: asyncio.subprocess.Process) -> None:
    """It is over before anybody goes on: also where whoever waits for it is told to stop."""
    if child.returncode is None:
        child.kill()
        await asyncio.shield(child.wait())


def _tell(code: int, words: str) -> None:
    last = words.splitlines()[-1] if words else f"code {code}"
    if code == REFUSED and words.startswith("The sandbox"):
        raise Unsafe(words)
    if "No space left on device" in words:
        raise Full(last)
    if code == -signal.SIGKILL:
        raise Hindered("It was killed.")
    if code == -signal.SIGXCPU:
        raise TooMuch("It took more of the processor than it may.")
    if code == -signal.SIGXFSZ or "File too large" in words:
        raise TooMuch("It wrote more than it may.")
    if any(sign in words for sign in ("Cannot allocate memory", "MemoryError", "malloc")):
        raise TooMuch(f"It took more memory than it may: {last}")
    raise Broken(words or f"It ended with code {code}.")
