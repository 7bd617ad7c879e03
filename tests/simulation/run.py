"""Lives through seeds, and tells of the first that breaks a promise: what broke, and everything that led to it.

A seed is lived again with a trace only after it has failed: the same seed goes the same way."""

import gc
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from tests.simulation.checks import Broken
from tests.simulation.world import World

LONGEST = "longest way back, s"
SELDOM = 50_000  # objects that are made before the collector of cycles looks: one life is short


@dataclass(frozen=True, slots=True)
class Life:
    """One seed, with all that happened in it; `error` is what broke, if something did."""

    seed: int
    trace: list[str]
    error: Exception | None

    def __str__(self) -> str:
        wrong = "nothing is wrong" if self.error is None else f"{type(self.error).__name__}: {self.error}"
        return "\n".join([*self.trace, f"Seed {self.seed}: {wrong}"])


def survey(seeds: Iterable[int], happened: Counter[str]) -> Life | None:
    """Live through the seeds until one fails, and answer with that one; `happened` counts what they went through."""
    with seldom_collected():
        for seed in seeds:
            world = World(seed)
            try:
                with logging_to(world):
                    happened.update(world.live())
            except Exception:
                return traced(seed)
            happened[LONGEST] = max(happened[LONGEST], round(world.recovered_s))
    return None


def traced(seed: int) -> Life:
    """One life with its trace."""
    trace: list[str] = []
    world = World(seed, trace)
    try:
        with logging_to(world):
            world.live()
    except Exception as error:
        return Life(seed, trace, error)
    return Life(seed, trace, None)


@contextmanager
def logging_to(world: World) -> Iterator[None]:
    """What the roles log belongs to the trace. An error that one of them logs is one that nobody foresaw: it ends the
    life, though the role would go on."""
    before = structlog.get_config()
    level = logging.ERROR if world.scene.trace is None else logging.INFO
    structlog.configure(
        processors=[structlog.stdlib.add_log_level, partial(_keep, world)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)


def _keep(world: World, _: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    facts = {key: value for key, value in event.items() if key not in ("event", "level")}
    world.scene.tell(f"logs {event['event']}", **facts)
    if event["level"] == "error":
        world.loop.error = world.loop.error or Broken(f"A role logged the error {event['event']}: {facts}")
    raise structlog.DropEvent


@contextmanager
def seldom_collected() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(SELDOM, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
