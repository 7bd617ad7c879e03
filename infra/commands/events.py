"""`postcommit events`: the log, over the REST API."""

import sys
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from infra.commands.options import Home, Json

app = App(name="events", help="The log: listed, followed live, exported, over the REST API.")
Position = Annotated[int, Parameter(validator=Number(gte=0))]
Limit = Annotated[int, Parameter(validator=Number(gte=1))]


@app.command(name="list")
def list_events(*, after: Position = 0, limit: Limit = 50, as_json: Json = False, home: Home = None) -> int:
    """List facts by position.

    Parameters
    ----------
    after
        The position before the first.
    limit
        At most so many.
    """
    from infra.commands import show
    from infra.commands.api import Api
    from infra.commands.pages import pages

    found = pages(Api.of(home), "/v1/events", [("after", after)], limit)
    if as_json:
        show.pages(found)
        return 0
    read = list(found)
    columns = ("position", "at", "name", "stream", "actor")
    show.table(columns, ([_cell(item, name) for name in columns] for page in read for item in page["items"]))
    show.say(f"The log ends at {read[-1]['head']}, in the epoch {read[-1]['epoch']}.")
    return 0


@app.command
def tail(*, after: Position | None = None, as_json: Json = False, home: Home = None) -> int:
    """Follow the log live, until Ctrl-C: a line for each fact. A lost connection is made again, and nothing is missed.

    With --json each line is a JSON document. Ends with exit code 5 where the log's epoch changes.

    Parameters
    ----------
    after
        The position before the first; without it only what comes from now on.
    """
    from infra.commands.api import Api, printable
    from infra.commands.tail import tail as follow

    for fact in follow(Api.of(home), after):
        if as_json:
            print(fact.text, flush=True)
        else:
            item = fact.item()
            columns = ("position", "at", "name", "stream", "actor")
            print(printable("  ".join(str(_cell(item, name)) for name in columns)), flush=True)
    return 0


@app.command
def export(*, after: Position = 0, until: Position | None = None, home: Home = None) -> int:
    """Write the log to stdout, one JSON document a line, in order and without a gap, up to where it ends now.

    Parameters
    ----------
    after
        The position before the first.
    until
        The last position, which must be there.
    """
    from infra.commands import show
    from infra.commands.api import Api
    from infra.commands.export import facts

    pages = facts(Api.of(home), after, until)
    last = next(pages).position
    with show.bars("{task.description}", "{task.completed:.0f} of {task.total:.0f}") as bars:
        row = bars.add_task("events", total=last - after) if bars and not sys.stdout.isatty() else None
        for page in pages:
            sys.stdout.buffer.write(page.lines)
            if bars and row is not None:
                bars.update(row, completed=page.position - after)
    sys.stdout.buffer.flush()
    show.say(f"{last - after} facts, up to the position {last}.")
    return 0


def _cell(item: dict[str, object], name: str) -> object:
    meta = item["meta"]
    assert isinstance(meta, dict)
    return meta["actor"] if name == "actor" else item[name]
