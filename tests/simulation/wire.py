"""The way between a process and a server: it takes time, and a call can get lost before its effect, its answer after.

Whoever was killed meanwhile is never answered. What it had sent may still take effect."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Generic, TypeVar

from tests.simulation.loop import PROCESS, Loop

T = TypeVar("T")


@dataclass
class Weather:
    """How likely trouble is, for every call."""

    before: float = 0.0
    after: float = 0.0
    slow: float = 0.0  # longer than a lease
    hiccups: float = 0.0  # long enough for others to come between
    late: float = 0.0  # a commit that comes after its statement; a message that is stored after its sender gave up


@dataclass
class Scene:
    """What all of one simulation share: time, chance, weather, and a memory of what happened."""

    random: Random
    loop: Loop
    weather: Weather
    happened: Counter[str] = field(default_factory=Counter)
    trace: list[str] | None = None

    def note(self, what: str, **facts: Any) -> None:
        """Something worth counting, and a line of the trace."""
        self.happened[what] += 1
        self.tell(what, **facts)

    def tell(self, what: str, **facts: Any) -> None:
        if self.trace is not None:
            told = " ".join(f"{name}={value}" for name, value in facts.items())
            name = PROCESS.get(self.loop.world).name
            self.trace.append(f"{self.loop.now:9.4f} {name:10} {what} {told}")

    def strikes(self, share: float) -> bool:
        return share > 0 and self.random.random() < share

    def pause(self) -> float:
        """How long a message is under way, s."""
        if self.strikes(self.weather.slow):
            self.happened["slow"] += 1
            return self.random.random() * 4
        most = 0.3 if self.strikes(self.weather.hiccups) else 0.003
        return 0.0002 + self.random.random() * most


class Answer(Generic[T]):
    """What a server owes to a caller."""

    __slots__ = ("_future", "_lost", "_scene")

    def __init__(self, scene: Scene, future: Any, lost: Exception | None) -> None:
        self._scene, self._future, self._lost = scene, future, lost

    def give(self, value: T, late: bool = False) -> None:
        """`late`: others may act before the caller knows."""
        if self._lost is not None:
            self._scene.note("answer lost")
            self.fail(self._lost)
        elif not late or self._scene.strikes(0.5):
            _resolve(self._future, value)
        else:
            self._scene.loop.later(self._scene.pause(), _resolve, self._future, value)

    def fail(self, error: Exception) -> None:
        self._scene.loop.later(self._scene.pause(), _reject, self._future, error)


async def ask(
    scene: Scene,
    act: Callable[[Answer[T]], None],
    gone: Callable[[], Exception],
    up: Callable[[], bool],
    share: float = 1,
) -> T:
    """Send a call; `act` is the server's part, which gives the answer. `gone` is the error of a lost connection, and
    `share` how much of the weather's trouble comes here."""
    process, loop, weather = PROCESS.get(scene.loop.world), scene.loop, scene.weather
    future = loop.create_future()
    lost = gone() if scene.strikes(weather.after * share) else None
    answer: Answer[T] = Answer(scene, future, lost)

    def arrive() -> None:
        if not up() or scene.strikes(weather.before * share):
            scene.happened["call lost"] += 1
            answer.fail(gone())
        elif lost is not None and scene.strikes(0.5):  # the caller is told so before it is done
            scene.note("done behind the caller's back")
            answer.fail(lost)
            loop.later(scene.random.random() * 0.6, lambda: act(answer) if up() else None)
        elif process.alive or scene.strikes(0.5):
            act(answer)

    loop.later(scene.pause(), arrive)
    answered: T = await future
    return answered


def simply(effect: Callable[[], T], late: bool = False) -> Callable[[Answer[T]], None]:
    """A part of the server that answers, or refuses."""

    def act(answer: Answer[T]) -> None:
        try:
            value = effect()
        except AssertionError:
            raise
        except Exception as error:
            answer.fail(error)
        else:
            answer.give(value, late)

    return act


def _resolve(future: Any, value: Any) -> None:
    if not future.done():
        future.set_result(value)


def _reject(future: Any, error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
