"""How a command ends: its exit codes, and the ways not to do its work, each told in one clear sentence."""

import os
import sys
from collections.abc import Callable

DONE = 0
FAILED = 1
USAGE = 2
NOT_FOUND = 3
NOT_ALLOWED = 4
CONFLICT = 5
TASK_FAILED = 10
TASK_CANCELLED = 11
STUCK = 70  # EX_SOFTWARE of sysexits.h
AWAY = 75  # EX_TEMPFAIL: what the command needs is away; try again
REFUSED = 78  # EX_CONFIG: trying again is no use
TIME_OVER = 124  # as timeout(1) has it
INTERRUPTED = 130  # 128 + SIGINT
UNHEARD = 141  # 128 + SIGPIPE


class Stop(Exception):
    """A command ends with `code`; the message is one clear sentence, or several lines of them."""

    code = FAILED


class Failed(Stop):
    """It was tried, and went wrong."""


class Misused(Stop):
    """What was asked for cannot be meant."""

    code = USAGE


class NotFound(Stop):
    """There is no such thing, or none that this key may know of."""

    code = NOT_FOUND


class NotAllowed(Stop):
    """Whoever asks may not."""

    code = NOT_ALLOWED


class Conflicting(Stop):
    """The state of what is asked about does not allow it."""

    code = CONFLICT


class Refused(Stop):
    """It cannot be done like this."""

    code = REFUSED


class Away(Stop):
    """What is needed does not answer."""

    code = AWAY


def told(work: Callable[[], int | None]) -> int:
    """Do the work, and say on stderr why it could not be done. Answers with the exit code."""
    try:
        code = work() or DONE
        sys.stdout.flush()
        return code
    except Stop as stop:
        print(stop, file=sys.stderr)
        return stop.code
    except BrokenPipeError:  # `postcommit events export | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at its end
        return UNHEARD
