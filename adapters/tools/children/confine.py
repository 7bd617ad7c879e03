"""Becomes another program with as few rights as it needs. It stands alone: it is run as a script, not imported.

    python -I -S confine.py '{"limits": …}' program argument …

What it gives up, it cannot take back, nor can the program that it becomes (`no_new_privs`):
- seccomp: no sockets, no new processes (threads may be), no signals to others, no look into other processes;
- Landlock, where the kernel has it (5.13): no file but those that are named, and what descriptors it inherits;
- every capability, also of root; CPU time, memory, the size of a file, and the number of open files have limits;
- it dies with its parent, and runs when nobody else wants the processor.

Where seccomp cannot be had, it ends with code 126 and says so. Numbers are of linux/audit.h, seccomp.h, landlock.h."""

import ctypes
import json
import os
import platform
import resource
import signal
import struct
import sys
from pathlib import Path
from typing import NoReturn

REFUSED = 126
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 1, 24, 38, 22
LAST_CAPABILITY = 63
ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
CLONE_THREAD = 0x00010000
X32 = 0x40000000
X86 = "41 42 49 50 53 57 58 62 101 129 155 161 165 166 200 248 249 250 272 297 298 308 310 311 321 323 424 425 434 438"
ARM = "39 40 41 51 97 117 129 130 138 198 199 200 201 203 217 218 219 240 241 268 270 271 280 282 424 425 434 438"
SYSCALLS = {  # by machine: its name for audit, three calls of which more is looked at, and those that are refused: of
    # sockets, processes, signals, mounts, namespaces, keys, rings, faults, bpf, perf, and the memory of others
    "x86_64": (0xC000003E, {"clone": 56, "tgkill": 234, "clone3": 435}, X86),
    "aarch64": (0xC00000B7, {"clone": 220, "tgkill": 131, "clone3": 435}, ARM),
}
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
READ, RUN, WRITE = 0b1100, 0b1, 0b111111111111111
FILE_RIGHTS = 0b1100000000000111  # those that mean something for a file that is no folder
LIBC = ctypes.CDLL(None, use_errno=True)


def main(told: str, program: str, *arguments: str) -> None:
    asked = json.loads(told)
    _tie(asked["parent"])
    os.nice(asked["nice"])
    os.umask(0o077)
    for name, value in asked["limits"].items():
        most = resource.getrlimit(getattr(resource, name))[1]
        hard = value + 5 if name == "RLIMIT_CPU" else value
        soft, hard = (one if most == resource.RLIM_INFINITY else min(one, most) for one in (value, hard))
        resource.setrlimit(getattr(resource, name), (soft, hard))
    for capability in range(LAST_CAPABILITY + 1):
        LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # who is not root has none to drop
    _must(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    _landlock(asked["readable"], asked["writable"])
    _seccomp()
    os.execve(program, [program, *arguments], asked["environment"])


def _tie(parent: int) -> None:
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before that was set
        os._exit(REFUSED)


def _landlock(readable: list[str], writable: list[str]) -> None:
    version = LIBC.syscall(CREATE_RULESET, None, 0, 1)
    if version < 1:
        return  # told by `postcommit doctor`
    handled = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    attributes = struct.pack("QQQ", handled, 3, 3)[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = _must(LIBC.syscall(CREATE_RULESET, attributes, len(attributes), 0), "landlock")
    for paths, rights in ((readable, READ | RUN), (writable, READ | WRITE)):
        for path in paths:
            try:
                place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                continue  # what is not there cannot be read
            allowed = rights & handled if Path(path).is_dir() else rights & handled & FILE_RIGHTS
            _must(LIBC.syscall(ADD_RULE, ruleset, 1, struct.pack("<Qi", allowed, place), 0), "landlock")
            os.close(place)
    _must(LIBC.syscall(RESTRICT_SELF, ruleset, 0), "landlock")
    os.close(ruleset)


def _seccomp() -> None:
    machine = platform.machine()
    if machine not in SYSCALLS:
        _refuse(f"There is no list of system calls for {machine}.")
    audit, named, denied = SYSCALLS[machine]
    load, equal, same, above, done = 0x20, 0x15, 0x45, 0x35, 0x06  # LD ABS, JEQ, JSET, JGE, RET
    program = [(load, 0, 0, 4), (equal, 1, 0, audit), (done, 0, 0, KILL), (load, 0, 0, 0)]
    program += [(above, 0, 1, X32), (done, 0, 0, EPERM)]
    for number in map(int, denied.split()):
        program += [(equal, 0, 1, number), (done, 0, 0, EPERM)]
    program += [(equal, 0, 1, named["clone3"]), (done, 0, 0, ENOSYS)]  # its flags cannot be seen: use clone
    program += [(equal, 0, 4, named["clone"]), (load, 0, 0, 16), (same, 1, 0, CLONE_THREAD)]
    program += [(done, 0, 0, EPERM), (done, 0, 0, ALLOW)]
    program += [(equal, 0, 4, named["tgkill"]), (load, 0, 0, 16), (equal, 1, 0, os.getpid())]  # abort() is allowed
    program += [(done, 0, 0, EPERM), (done, 0, 0, ALLOW), (done, 0, 0, ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    filter = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    _must(LIBC.prctl(PR_SET_SECCOMP, 2, filter, 0, 0), "seccomp")


def _must(answer: int, what: str) -> int:
    if answer < 0:
        _refuse(f"{what}: {os.strerror(ctypes.get_errno())}")
    return answer


def _refuse(why: str) -> NoReturn:
    print(f"The sandbox cannot be made: {why}", file=sys.stderr, flush=True)
    os._exit(REFUSED)


if __name__ == "__main__":
    main(*sys.argv[1:])
