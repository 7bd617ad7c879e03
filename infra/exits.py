"""How a command ends: its exit codes, and the two ways not to do its work, each told in one clear sentence."""

import sys
from collections.abc import Callable

REFUSED = 78  # EX_CONFIG of sysexits.h: trying again is no use
AWAY = 75  # EX_TEMPFAIL: what the command needs is away; try again


class Refused(Exception):
    """It cannot be done like this; the message is one clear sentence."""


class Away(Exception):
    """What is needed does not answer; the message is one clear sentence."""


def told(work: Callable[[], int | None]) -> int:
    """Do the work, and say on stderr why it could not be done. Answers with the exit code."""
    try:
        return work() or 0
    except Refused as error:
        print(error, file=sys.stderr)
        return REFUSED
    except Away as error:
        print(error, file=sys.stderr)
        return AWAY
