"""The crash points: at every step at which a role can die, by name. A role that was started by `crashing` dies at one.

A point lies before or after a function of the program, which knows nothing of it."""

import inspect
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

KINDS = ("probe", "email", "webhook")


@dataclass(frozen=True, slots=True)
class Point:
    """`role` dies before it calls the function, or after; where `full`, only if what goes in or comes out is not empty
    (or 0). `kinds` of work come by, and `admits` names the effects that may be repeated by a crash just there."""

    role: str
    where: str  # module:name or module:class.name
    after: bool = False
    full: bool = False
    admits: frozenset[str] = frozenset()
    kinds: tuple[str, ...] = KINDS


MAIL, NOTICE = frozenset({"email"}), frozenset({"webhook"})
TASKS = "adapters.postgres.tasks:PostgresTasks"
POINTS: Mapping[str, Point] = {
    "accepted": Point("api", "adapters.postgres.log:PostgresLog.append"),
    "committed, not answered": Point("api", "adapters.postgres.log:PostgresLog.append", after=True),
    "sequenced": Point("relay", "adapters.postgres.leadership:Leadership.sequence", after=True, full=True),
    "to be published": Point("relay", "adapters.nats.stream:LogStream.publish"),
    "published and acknowledged": Point("relay", "adapters.nats.stream:LogStream.publish", after=True),
    "cursor moved": Point("relay", "adapters.postgres.mirror:MirroredLedger.reached", after=True),
    "due, to be queued": Point("relay", f"{TASKS}.settle", kinds=("probe",)),
    "due and queued": Point("relay", f"{TASKS}.settle", after=True, kinds=("probe",)),
    "fetched": Point("worker", "infra.roles.crew:Crew.hear"),
    "to be claimed": Point("worker", f"{TASKS}.claim"),
    "claimed": Point("worker", f"{TASKS}.claim", after=True, full=True),
    "to be acknowledged": Point("worker", "infra.roles.crew:Crew._acknowledge"),
    "acknowledged": Point("worker", "infra.roles.crew:Crew._acknowledge", after=True),
    "to be worked on": Point("worker", "infra.roles.runs:Runs._attempt"),
    "mail to be sent": Point("worker", "aiosmtplib:send", kinds=("email", "webhook")),
    "mail sent": Point("worker", "aiosmtplib:send", after=True, admits=MAIL, kinds=("email", "webhook")),
    "notice to be posted": Point("worker", "adapters.tools.webhook:_post", kinds=("webhook",)),
    "notice posted": Point("worker", "adapters.tools.webhook:_post", after=True, admits=NOTICE, kinds=("webhook",)),
    "worked on": Point("worker", "infra.roles.runs:Runs._attempt", after=True, admits=MAIL | NOTICE),
    "end to be written": Point("worker", f"{TASKS}.settle", admits=MAIL | NOTICE),
    "end written": Point("worker", f"{TASKS}.settle", after=True),
    "to be applied": Point("reader", "adapters.postgres.readers:step"),
    "applied": Point("reader", "adapters.postgres.readers:step", after=True, full=True),
    "to be released": Point("reader", "infra.roles.reader:release_waiting"),
    "released": Point("reader", "infra.roles.reader:release", after=True, full=True),
}


def arm(order: Path) -> None:
    """From now on this process kills itself at the point that the file names; the file is then gone, so that one
    process dies of it."""
    role = sys.argv[1] if len(sys.argv) > 1 else ""
    for name, point in POINTS.items():
        if point.role == role:
            _wrap(point, lambda name=name: _obey(order, name))  # type: ignore[misc]


def _obey(order: Path, name: str) -> None:
    try:
        if order.read_text() != name:
            return
        order.rename(order.with_suffix(".done"))  # of two that come here at once one is told that it is gone
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _wrap(point: Point, reached: Callable[[], None]) -> None:
    holder, name, called = found(point.where)

    def fits(values: Any) -> bool:
        return not point.full or bool(values)

    if inspect.iscoroutinefunction(called):

        @wraps(called)
        async def wrapped(*arguments: Any, **named: Any) -> Any:
            if not point.after:
                reached()
            answer = await called(*arguments, **named)
            if point.after and fits(answer):
                reached()
            return answer

    else:

        @wraps(called)
        def wrapped(*arguments: Any, **named: Any) -> Any:
            if not point.after:
                reached()
            answer = called(*arguments, **named)
            if point.after and fits(answer):
                reached()
            return answer

    setattr(holder, name, wrapped)


def found(where: str) -> tuple[Any, str, Callable[..., Any]]:
    """The module or class that holds the function, its name there, and the function."""
    module, _, path = where.partition(":")
    holder: Any = import_module(module)
    *classes, name = path.split(".")
    for each in classes:
        holder = getattr(holder, each)
    return holder, name, getattr(holder, name)
