"""What can a program do that works on the file of a stranger? Nothing but that."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from adapters.tools.sandbox import NICE, Broken, Hindered, Limits, TooMuch, plain, run
from tests.waiting import alive, until

ROOT = Path(__file__).parents[2]
PYTHON = (sys.executable, "-I", "-c")
READABLE = (sys.prefix, sys.base_prefix)
SLEEPS = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)"
LIMITS = Limits(wall_s=20, cpu_s=10, memory_bytes=512 * 1024**2, file_bytes=1024**2)
TRIES = {
    "a socket": "import socket; socket.socket()",
    "a pair of sockets": "import socket; socket.socketpair()",
    "a process": "import os; os.fork()",
    "a program": "import subprocess; subprocess.run(['/bin/true'])",
    "a signal to its parent": "import os; os.kill(os.getppid(), 0)",
    "a signal to everybody": "import os; os.kill(-1, 0)",
    "the memory of another": "import ctypes; f = ctypes.CDLL(None, use_errno=True).ptrace; f.restype = ctypes.c_long\n"
    "if f(16, PARENT, 0, 0): raise OSError(ctypes.get_errno(), 'no')",
    "a namespace": "import ctypes\nif ctypes.CDLL(None, use_errno=True).unshare(0x10000000): "
    "raise OSError(ctypes.get_errno(), 'no')",
    "a file of the system": "open('/etc/passwd').read()",
    "the variables of its parent": "open('/proc/PARENT/environ', 'rb').read()",
    "a file elsewhere": "open('OTHER/new', 'w')",
    "what it was given": "open('GIVEN/piece', 'a')",
    "a listing": "import os; os.listdir('/')",
}


async def tried(code: str, made: Path, limits: Limits = LIMITS, given: Path | None = None) -> str:
    argv = (*PYTHON, code)
    return (await run(argv, limits=limits, made=made, given=given, readable=READABLE)).decode()


@pytest.fixture
def made(tmp_path: Path) -> Path:
    (tmp_path / "made").mkdir()
    return tmp_path / "made"


@pytest.mark.parametrize("what", TRIES)
async def test_it_is_refused(what: str, made: Path, tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    (given / "piece").write_text("as it was")
    code = TRIES[what].replace("PARENT", str(os.getpid())).replace("OTHER", str(tmp_path)).replace("GIVEN", str(given))
    with pytest.raises(Broken, match="PermissionError"):
        await tried(code, made, given=given)
    assert (given / "piece").read_text() == "as it was"


async def test_what_it_needs_is_there(made: Path, tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    (given / "piece").write_text("a piece")
    code = (
        "import os, sys\nfrom threading import Thread\n"
        f"open('out', 'w').write(open('{given}/piece').read() + sys.stdin.read())\n"
        "one = Thread(target=print, args=(sorted(os.environ), os.nice(0)), kwargs={'end': ''}); one.start(); one.join()"
    )
    source = tmp_path / "source"
    source.write_text(" and the source")
    with source.open() as file:
        argv = (*PYTHON, code)
        said = await run(argv, limits=LIMITS, made=made, given=given, readable=READABLE, source=file.fileno())
    assert (made / "out").read_text() == "a piece and the source"
    assert said.decode() == "['HOME', 'LANG', 'PATH', 'TMPDIR'] 19"


@pytest.mark.parametrize(
    ("code", "limits", "words"),
    [
        ("while True: pass", Limits(wall_s=20, cpu_s=1), "more of the processor"),
        ("b'1' * 2**30", LIMITS, "more memory"),
        ("f = open('out', 'wb')\nwhile True: f.write(bytes(65536))", LIMITS, "wrote more"),
    ],
)
async def test_what_it_takes_has_bounds(code: str, limits: Limits, words: str, made: Path) -> None:
    began = time.monotonic()
    with pytest.raises(TooMuch, match=words):
        await tried(code, made, limits)
    assert time.monotonic() - began < 15


async def test_who_waits_for_too_long_is_hindered_which_need_not_be_its_own_fault(made: Path) -> None:
    began = time.monotonic()
    with pytest.raises(Hindered, match="longer than"):
        await tried("import time; time.sleep(60)", made, Limits(wall_s=0.5, cpu_s=10))
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("code", ["os.symlink('/etc/hostname', 'out')", "os.mkfifo('out')", "os.mkdir('out')", "0"])
async def test_only_a_file_of_its_own_is_taken_from_it(code: str, made: Path) -> None:
    with suppress(Broken):  # it may be refused as it is made, or as it is taken
        await tried(f"import os; {code}", made)
    with pytest.raises(Broken, match="file"):
        plain(made / "out")


async def test_what_it_says_has_bounds(made: Path) -> None:
    said = await tried("import sys\nfor _ in range(400): sys.stdout.write('x' * 65536)", made)
    assert len(said) == 4 * 1024 * 1024
    with pytest.raises(Broken) as raised:
        await tried("import sys\nsys.stderr.write('y' * 10**6); sys.exit(3)", made)
    assert len(str(raised.value)) <= 2_000


async def test_it_dies_with_whoever_waits_for_it(made: Path) -> None:
    waiting = asyncio.create_task(tried(SLEEPS, made))
    pid = await _pid(made / "pid")
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled() and not alive(pid)


async def test_it_dies_with_its_worker(made: Path) -> None:
    code = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom adapters.tools.sandbox import Limits, run\n"
        f"argv = (sys.executable, '-I', '-c', {SLEEPS!r})\n"
        f"asyncio.run(run(argv, limits=Limits(wall_s=60, cpu_s=9), made=Path({str(made)!r}), readable={READABLE!r}))"
    )
    worker = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", code], cwd=ROOT
    )
    pid = await _pid(made / "pid")
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    await until(lambda: not alive(pid))


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="This kernel weighs no sessions.")
async def test_it_gives_way_to_other_sessions_too(made: Path) -> None:
    running = asyncio.create_task(tried(SLEEPS, made))
    pid = await _pid(made / "pid")
    assert os.getpriority(os.PRIO_PROCESS, pid) == NICE
    await until(lambda: _written(Path(f"/proc/{pid}/autogroup")).endswith(f" nice {NICE}\n"))
    assert not _written(Path("/proc/self/autogroup")).endswith(f" nice {NICE}\n")
    running.cancel()
    await asyncio.wait([running])


async def test_a_killed_child_is_told_as_broken(made: Path) -> None:
    running = asyncio.create_task(tried(SLEEPS, made))
    os.kill(await _pid(made / "pid"), signal.SIGKILL)
    with pytest.raises(Broken) as raised:
        await running
    assert isinstance(raised.value, Hindered), "whoever was killed from outside is worth another try"


async def _pid(file: Path) -> int:
    await until(lambda: _written(file) != "")
    return int(_written(file))


def _written(file: Path) -> str:
    return file.read_text() if file.exists() else ""
