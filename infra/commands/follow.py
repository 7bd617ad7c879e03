"""Tasks, followed until they end. An API that is away for a while is waited for."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from infra.commands.api import Answer, Api
from infra.exits import DONE, TASK_CANCELLED, TASK_FAILED, TIME_OVER, Away

T = TypeVar("T")
Task = dict[str, Any]
POLL_S = 20  # how long one question waits for its answer
AWAY_S = 60.0  # how long an API that has answered before may be away
PAUSE_S = 0.3
CODES = {"failed": TASK_FAILED, "cancelled": TASK_CANCELLED}


@dataclass(slots=True)
class Patience:
    """Asks again while the API is away, no longer than `away_s` and no later than `deadline`."""

    deadline: float = inf
    away_s: float = AWAY_S
    since: float | None = field(default=None, init=False)

    def ask(self, question: Callable[[], T]) -> T:
        """Raises Away where the API stays away, TimeoutError at the deadline."""
        while True:
            try:
                answer = question()
            except Away:
                now = time.monotonic()
                self.since = now if self.since is None else self.since
                if now - self.since > self.away_s:
                    raise
                if now >= self.deadline:
                    raise TimeoutError from None
                time.sleep(PAUSE_S)
            else:
                self.since = None
                return answer


def ended(task: Task) -> bool:
    return task["finished_at"] is not None


def path(id: object) -> str:
    return f"/v1/tasks/{id}"


def code(tasks: Sequence[Task]) -> int:
    """The exit code that tells how they ended: the worst counts, and one that still runs is the worst."""
    if not all(map(ended, tasks)):
        return TIME_OVER
    found = {CODES.get(task["status"], DONE) for task in tasks}
    return next((worst for worst in (TASK_FAILED, TASK_CANCELLED) if worst in found), DONE)


def wait(api: Api, ids: Sequence[object], timeout_s: float | None) -> list[Task]:
    """The tasks once all have ended, or as they are when the time is over. Raises NotFound for an unknown one."""
    deadline = time.monotonic() + timeout_s if timeout_s is not None else inf
    tasks = [api.get(path(id)).json() for id in ids]
    patience = Patience(deadline)
    try:
        return [patience.ask(partial(_end, api, task, deadline)) for task in tasks]
    except TimeoutError:
        return tasks


def _end(api: Api, task: Task, deadline: float) -> Task:
    while not ended(task) and (left := deadline - time.monotonic()) > 0:
        seconds = int(min(left, POLL_S))  # the API knows whole seconds
        task.update(api.get(path(task["id"]), [("wait", seconds)], wait_s=seconds).json())
        if seconds == 0 and not ended(task):
            time.sleep(min(PAUSE_S, left))
    return task


def changes(make: Callable[[], Api], ids: Sequence[object]) -> Iterator[Task]:
    """Every task as it is now, and again whenever it changes, until all have ended."""
    heard: SimpleQueue[Task | BaseException] = SimpleQueue()
    for id in ids:
        Thread(target=_follow, args=(make(), id, heard), daemon=True).start()
    left = len(ids)
    while left:
        told = heard.get()
        if isinstance(told, BaseException):
            raise told
        left -= ended(told)
        yield told


def _follow(api: Api, id: object, heard: "SimpleQueue[Task | BaseException]") -> None:
    patience = Patience()
    try:
        answer = api.get(path(id))
        heard.put(task := answer.json())
        while not ended(task):
            answer = patience.ask(partial(_changed, api, id, answer.headers["etag"]))
            heard.put(task := answer.json())
    except BaseException as error:  # a thread has nobody else to tell
        heard.put(error)


def _changed(api: Api, id: object, tag: str) -> Answer:
    while True:
        answer = api.get(path(id), [("wait", POLL_S)], wait_s=POLL_S, **{"If-None-Match": tag})
        if answer.status != 304:
            return answer
