"""How an attempt can end, as a value. A worker returns one of these; an unexpected exception counts as `Stumbled`."""

from typing import Any

from domain.record import Record


class Error(Record, frozen=True):
    """Why an attempt ended badly: a short name for programs, a sentence for people."""

    type: str
    detail: str


class Progress(Record, frozen=True):
    """How far the work is: `done` of `total` units. `note` is for people."""

    done: float
    total: float
    unit: str = ""
    note: str = ""


class Done(Record, frozen=True):
    """The work is done; `result` is of the kind's result type, at most `record.MOST_JSON` bytes as JSON."""

    result: Any
    progress: Progress | None = None


class Stumbled(Record, frozen=True):
    """Worth another try: the network, a full disk, a busy server."""

    error: Error


class Refused(Record, frozen=True):
    """Not worth another try: the request itself is at fault."""

    error: Error


class Stopped(Record, frozen=True):
    """The worker was told to stop, by a cancellation or by SIGTERM, and did."""


Outcome = Done | Stumbled | Refused | Stopped
