"""A process dies at the crash point that an order names, once. The order is a file.

<order>            there as long as the point is watched; who comes by is counted
<order>.reached    a byte for each that came by
<order>.struck     the ids of the work at which one died, and when: it is there only once"""

import inspect
import json
import os
import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial, wraps
from importlib import import_module
from pathlib import Path
from threading import get_ident
from typing import Any

from infra.drill.matrix.passing import Death, Passing
from infra.drill.matrix.point import Point


@dataclass(frozen=True, slots=True)
class Order:
    """Written by the matrix, obeyed by a role."""

    path: Path

    @property
    def reached(self) -> Path:
        return self.path.with_suffix(".reached")

    @property
    def struck(self) -> Path:
        return self.path.with_suffix(".struck")

    def names(self, name: str) -> bool:
        try:
            return self.path.read_text().partition("\n")[0] == name
        except FileNotFoundError:
            return False

    def ended(self) -> set[str]:
        """The tasks that had ended before the order was given."""
        return set(self.path.read_text().splitlines()[1:])

    def give(self, name: str, ended: Iterable[str] = ()) -> None:
        new = self.path.with_suffix(".new")
        new.write_text("\n".join([name, *ended]))
        new.rename(self.path)

    def end(self) -> tuple[int, Death | None]:
        """How often the point was reached, and at what a role died; None where none did."""
        self.path.unlink()
        count = self.reached.stat().st_size if self.reached.exists() else 0
        told = json.loads(self.struck.read_text()) if self.struck.exists() else None
        for path in (self.reached, self.struck):
            path.unlink(missing_ok=True)
        return count, told and Death(told["ids"], datetime.fromisoformat(told["at"]))


def arm(order: Path, role: str, points: Mapping[str, Point]) -> None:
    """From now on this process kills itself at the point that the order names, unless another one was faster."""
    for name, point in points.items():
        if point.role == role:
            _wrap(point, partial(come_by, Order(order), name, point))


def come_by(order: Order, name: str, point: Point, passing: Callable[[], Passing]) -> None:
    """A call comes by the point: it is counted, and this process dies, if that is ordered and none was faster."""
    if not order.names(name) or not point.asked(one := passing()):
        return
    if point.late and set(one.ids) <= order.ended():
        return
    with order.reached.open("ab") as count:
        count.write(b".")
    mine = order.path.with_suffix(f".{os.getpid()}-{get_ident()}")
    mine.write_text(json.dumps({"ids": one.ids, "at": datetime.now(UTC).isoformat()}))
    try:
        order.struck.hardlink_to(mine)  # whole at once, and only once
    except FileExistsError:
        return
    finally:
        mine.unlink()
    os.kill(os.getpid(), signal.SIGKILL)


def _wrap(point: Point, happens: Callable[[Callable[[], Passing]], None]) -> None:
    holder, name, called = found(point.where)

    def passing(arguments: Any, named: Any, answer: Any = None) -> Passing:
        return Passing(inspect.signature(called).bind(*arguments, **named).arguments, answer)

    if inspect.iscoroutinefunction(called):

        @wraps(called)
        async def wrapped(*arguments: Any, **named: Any) -> Any:
            if not point.after:
                happens(lambda: passing(arguments, named))
            answer = await called(*arguments, **named)
            if point.after:
                happens(lambda: passing(arguments, named, answer))
            return answer

    else:

        @wraps(called)
        def wrapped(*arguments: Any, **named: Any) -> Any:
            if not point.after:
                happens(lambda: passing(arguments, named))
            answer = called(*arguments, **named)
            if point.after:
                happens(lambda: passing(arguments, named, answer))
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
