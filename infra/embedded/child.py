"""Starts children that never outlive this process, and never two of them on one lock.

A child inherits its locked file, so the lock is free only when the child and everything that it forked are gone:
that is how the next supervisor knows that nothing of a killed one is left.
"""

import asyncio
import ctypes
import fcntl
import os
import signal
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO

from infra.embedded.binaries import User

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)

Process = subprocess.Popen[bytes]


class Failed(Exception):
    """A child did not start or did not do its work; the message is a full sentence."""


class Held(Exception):
    """The lock of a child is held by an earlier one that still ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    name: str
    argv: tuple[str, ...]
    log: Path
    lock: Path
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    cwd: Path | None = None
    user: User | None = None
    stdin: bytes = b""
    orphaned: signal.Signals = signal.SIGKILL  # what the kernel sends to the child when this process dies
    shown: bool = False  # stderr goes to the terminal instead of the log


def spawn(command: Command) -> Process:
    """Start the child in a session of its own. Raises Held, or Failed if the program cannot be run.

    From the main thread only: the kernel takes the end of the *thread* that forked for the parent's death."""
    assert threading.current_thread() is threading.main_thread()
    lock = take(command.lock)
    try:
        with os.fdopen(open_private(command.log, os.O_APPEND), "ab") as log, _memory(command.stdin) as given:
            process = subprocess.Popen(
                command.argv,
                cwd=command.cwd,
                env=dict(command.env),
                stdin=given,
                stdout=log,
                stderr=None if command.shown else log,
                start_new_session=True,
                pass_fds=(lock,),
                user=command.user.uid if command.user else None,
                group=command.user.gid if command.user else None,
                extra_groups=[] if command.user else None,
                preexec_fn=partial(tie, os.getpid(), command.orphaned),
            )
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{process.pid}\n".encode(), 0)
        return process
    except OSError as error:
        raise Failed(f"The program {command.argv[0]} cannot be started: {error}.") from error
    finally:
        os.close(lock)


def open_private(path: Path, flags: int = 0) -> int:
    """Open the file to write; if it is made now, it is readable by this user only."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o600)


def take(path: Path) -> int:
    """Open and lock the file, without waiting; the lock lasts until every copy of the descriptor is closed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise Held(str(path)) from None
    return lock


def await_leftovers(locks: Path, patience_s: float = 20.0) -> None:
    """Wait until no child of an earlier supervisor is left. One that does not end in time is killed.

    Raises Failed if even that does not end it."""
    for path in sorted(locks.glob("*")):
        if _freed(path, patience_s):
            continue
        _kill_holder(path)
        if not _freed(path, patience_s):
            raise Failed(f"An earlier {path.name}, process {path.read_text().strip()}, does not end.")


async def ended(process: Process) -> int:
    """Wait for the end of the child and give its exit code (negative: the signal), without polling."""
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    descriptor = os.pidfd_open(process.pid) if process.poll() is None else None
    if descriptor is not None:
        loop.add_reader(descriptor, over.set)
        try:
            await over.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
    return process.wait()


async def stop(process: Process, how: signal.Signals, patience_s: float) -> None:
    """Ask the child to end; kill it if it has not ended in time. A stopped (SIGSTOP) child is woken to hear it."""
    process.send_signal(how)
    process.send_signal(signal.SIGCONT)
    try:
        await asyncio.wait_for(ended(process), patience_s)
    except TimeoutError:
        process.kill()
        await ended(process)


async def until(process: Process, log: Path, check: Callable[[], Awaitable[bool]], patience_s: float = 60.0) -> None:
    """Wait until the check says yes. Raises Failed if the child ends before, or time runs out."""
    deadline = time.monotonic() + patience_s
    while not await check():
        if process.poll() is not None:
            raise Failed(f"{log.stem} ended with code {process.returncode} before it was ready, {tail(log)}")
        if time.monotonic() > deadline:
            raise Failed(f"{log.stem} was not ready after {patience_s:.0f} s, {tail(log)}")
        await asyncio.sleep(0.02)


def tail(log: Path, lines: int = 3) -> str:
    """The end of a log and where it lies, for a message to people."""
    try:
        last = log.read_text(errors="replace").splitlines()[-lines:]
    except OSError:
        last = []
    return f"see {log}" + "".join(f"\n  {line}" for line in last)


def tie(parent: int, orphaned: signal.Signals) -> None:
    """Runs in the child, after the change of user, which would clear the setting again."""
    LIBC.prctl(PR_SET_PDEATHSIG, int(orphaned), 0, 0, 0)
    if os.getppid() != parent:  # the parent died before the setting was made
        os._exit(1)


def _memory(data: bytes) -> BinaryIO:
    """A file without a name, which a child under another user may open again as /dev/stdin; a pipe it may not."""
    file = os.fdopen(os.memfd_create("stdin"), "w+b")
    file.write(data)
    file.seek(0)
    return file


def _freed(path: Path, patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        try:
            os.close(take(path))
        except Held:
            time.sleep(0.02)
        else:
            return True
    return False


def _kill_holder(path: Path) -> None:
    """Kill the process noted in the lock file, but only if it truly has that file open: numbers are used again."""
    pid = path.read_text().strip()
    if not pid.isdigit():
        return
    try:
        if any(path.samefile(fd) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.exists()):
            os.kill(int(pid), signal.SIGKILL)
    except OSError:
        return
