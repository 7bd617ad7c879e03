"""`postcommit tasks`: over the REST API, so that rights, idempotency and the audit are the same as for everybody."""

import json
from collections.abc import Sequence
from math import inf
from typing import Annotated, Any
from uuid import UUID

from cyclopts import App, Parameter
from cyclopts.validators import Number

from infra.commands.options import Home, Json

app = App(name="tasks", help="Tasks: list, show, follow, retry and cancel them, over the REST API.")
MOST_WATCHED = 100
COLUMNS = ("id", "kind", "queue", "status", "attempt", "progress", "created_at", "by")
Task = dict[str, Any]


@app.command(name="list")
def list_tasks(
    *,
    status: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = (),
    kind: str | None = None,
    queue: str | None = None,
    by: str | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: Annotated[int, Parameter(validator=Number(gte=1))] = 50,
    every: Annotated[bool, Parameter(name="--all", negative="", show_default=False)] = False,
    as_json: Json = False,
    home: Home = None,
) -> int:
    """List tasks, newest first.

    Parameters
    ----------
    status
        Only tasks with this status; may be repeated.
    kind
        Only tasks of this kind.
    queue
        Only tasks of this queue.
    by
        Only tasks that the holder of this key has asked for.
    since
        Only tasks created at this time (RFC 3339) or later.
    until
        Only tasks created before this time (RFC 3339).
    limit
        At most so many.
    every
        All of them, whatever the limit.
    """
    from infra.commands import show
    from infra.commands.api import Api
    from infra.commands.pages import pages

    query: list[tuple[str, object]] = [("status", one) for one in status]
    query += [("kind", kind), ("queue", queue), ("by", by), ("since", since), ("until", until)]
    found = pages(Api.of(home), "/v1/tasks", query, inf if every else limit)
    if as_json:
        show.pages(found)
        return 0
    read = list(found)
    show.table(COLUMNS, (_row(task) for page in read for task in page["items"]))
    if read[-1]["next"] is not None:
        show.say("There are more: see --limit and --all.")
    return 0


@app.command(name="show")
def show_task(id: UUID, /, *, as_json: Json = False, home: Home = None) -> int:
    """Show a task with its attempts and its history.

    Parameters
    ----------
    id
        Of the task.
    """
    from infra.commands import show
    from infra.commands.api import Api

    api = Api.of(home)
    task, told = api.get(f"/v1/tasks/{id}").json(), api.get(f"/v1/tasks/{id}/history").json()
    if as_json:
        show.document({"task": task, "attempts": told["attempts"], "history": told["items"]})
        return 0
    show.values((name, value) for name, value in task.items() if name != "links")
    print()
    columns = ("attempt", "worker", "started_at", "ended_at", "outcome", "error")
    show.table(columns, ([_told(one[name]) for name in columns] for one in told["attempts"]))
    print()
    columns = ("position", "at", "name", "attempt", "actor", "data")
    show.table(columns, ([_told(one[name]) for name in columns] for one in told["items"]))
    return 0


@app.command
def watch(id: UUID, /, *more: UUID, as_json: Json = False, home: Home = None) -> int:
    """Follow tasks until all have ended: bars on a terminal, elsewhere a line on stdout for every change.

    Exit codes: 0 all complete, 10 one failed, 11 one was cancelled.

    Parameters
    ----------
    id
        Of a task.
    more
        Ids of further tasks, 100 in all.
    """
    from infra.commands import follow, show
    from infra.commands.api import Api
    from infra.exits import Misused

    ids = list(dict.fromkeys((id, *more)))
    if len(ids) > MOST_WATCHED:
        raise Misused(f"At most {MOST_WATCHED} tasks can be watched at once, and these are {len(ids)}.")
    latest: dict[str, Task] = {}
    with show.bars("{task.description}", "{task.fields[told]}") as bars:
        rows = {str(one): bars.add_task(str(one), told="") for one in ids} if bars else {}
        for task in follow.changes(lambda: Api.of(home), ids):
            latest[task["id"]] = task
            if bars:
                done, total = _share(task)
                bars.update(rows[task["id"]], completed=done, total=total, told=_line(task))
            elif not as_json:
                print(_line(task), flush=True)
    return _end([latest[str(one)] for one in ids], as_json)


@app.command
def wait(
    id: UUID,
    /,
    *more: UUID,
    timeout_s: Annotated[float | None, Parameter(name="--timeout", validator=Number(gte=0))] = None,
    as_json: Json = False,
    home: Home = None,
) -> int:
    """Wait until tasks have ended.

    Exit codes: 0 all complete, 10 one failed, 11 one was cancelled, 124 the time is over.

    Parameters
    ----------
    id
        Of a task.
    more
        Ids of further tasks.
    timeout_s
        Wait no longer than so many seconds.
    """
    from infra.commands import follow, show
    from infra.commands.api import Api

    tasks = follow.wait(Api.of(home), list(dict.fromkeys((id, *more))), timeout_s)
    if not as_json:
        for task in tasks:
            print(_line(task))
    if not all(map(follow.ended, tasks)):
        show.say(f"The time of {timeout_s:g} s is over.")
    return _end(tasks, as_json)


@app.command
def retry(id: UUID, /, *, as_json: Json = False, home: Home = None) -> int:
    """Do the work of a failed or cancelled task again, in a new task, whose id is printed.

    Parameters
    ----------
    id
        Of the old task.
    """
    from infra.commands import show
    from infra.commands.api import Api

    new = Api.of(home).post(f"/v1/tasks/{id}/retry", {}).json()
    show.document(new) if as_json else print(new["id"])
    return 0


@app.command
def cancel(id: UUID, /, *, reason: str = "", as_json: Json = False, home: Home = None) -> int:
    """Cancel a task at once, or ask its worker to stop.

    Parameters
    ----------
    id
        Of the task.
    reason
        Stands in its history.
    """
    from infra.commands import show
    from infra.commands.api import Api

    task = Api.of(home).post(f"/v1/tasks/{id}/cancel", {"reason": reason}).json()
    show.document(task) if as_json else print(_line(task))
    return 0


def _end(tasks: Sequence[Task], as_json: bool) -> int:
    from infra.commands import follow, show

    if as_json:
        show.document({"items": tasks})
    return follow.code(tasks)


def _row(task: Task) -> list[object]:
    known = {"attempt": _attempt(task), "progress": _progress(task)}
    return [known.get(name, task.get(name)) for name in COLUMNS]


def _line(task: Task) -> str:
    """A task and how far it is, on one line."""
    from infra.commands.api import printable

    asked = "cancel requested" if task["cancel_requested"] and task["finished_at"] is None else ""
    error = f"{task['error']['type']}: {task['error']['detail']}" if task["error"] else ""
    told = (task["id"], task["kind"], task["status"], _attempt(task), _progress(task), asked, error)
    return printable("  ".join(one for one in told if one))


def _attempt(task: Task) -> str:
    return f"{task['attempt']}/{task['max_attempts']}"


def _progress(task: Task) -> str:
    if (progress := task["progress"]) is None:
        return ""
    return " ".join(filter(None, (f"{progress['done']:g}/{progress['total']:g}", progress["unit"], progress["note"])))


def _share(task: Task) -> tuple[float, float | None]:
    """What is done, of how much; a total of None is not known."""
    if task["status"] == "complete":
        return 1.0, 1.0
    progress = task["progress"]
    return (progress["done"], progress["total"] or None) if progress else (0.0, None)


def _told(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
