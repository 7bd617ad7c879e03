"""`postcommit consumers`: who may read the stream LOG from outside, each with a filter of its own."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from infra.commands.options import Json

app = App(name="consumers", help="Programs that read the stream LOG: added, listed, removed. Works on Postgres.")

Home = Annotated[
    Path | None,
    Parameter(help="The directory of `postcommit up`, whose NATS is told, too; without it you tell your own server."),
]


@app.command
def add(name: str, /, *, filter: str, as_json: Json = False, home: Home = None) -> int:
    """Make a consumer: a NATS user that may read what the filter lets through, and nothing else. Twice is once.

    Parameters
    ----------
    name
        1 to 64 of A-Z a-z 0-9 _ -.
    filter
        The subjects that it reads, such as 'events.v1.order.>'.
    """
    from infra.consumers import added, place_of

    told, missing = asyncio.run(added(place_of(home), name, filter))
    _tell(told, missing, as_json)
    return 0


@app.command(name="list")
def list_consumers(*, as_json: Json = False, home: Home = None) -> int:
    """List the consumers, with the position up to which each has acknowledged everything."""
    from infra.commands import show
    from infra.consumers import listed, place_of

    rows, head = asyncio.run(listed(place_of(home)))
    if as_json:
        show.document({"items": rows, "head": head})
        return 0
    columns = ("name", "filter", "position", "created_at")
    show.table(columns, ([row[name] for name in columns] for row in rows))
    show.say(f"The log ends at {head}.")
    return 0


@app.command
def remove(name: str, /, *, home: Home = None) -> int:
    """Take a consumer's rights and its durable.

    Parameters
    ----------
    name
        As it was added.
    """
    from infra.commands import show
    from infra.consumers import place_of, removed

    show.say(asyncio.run(removed(place_of(home), name)))
    return 0


def _tell(told: dict[str, Any], missing: str | None, as_json: bool) -> None:
    from infra.commands import show

    if as_json:
        show.document(told)
    else:
        show.values((name, told[name]) for name in ("stream", "durable", "filter", "url", "inbox_prefix"))
    if missing:
        show.say(missing)
    if "accounts" not in told or as_json:
        return
    show.say("\nThe password is kept nowhere else. For the configuration of every server, within accounts { … }:\n")
    print(told["accounts"])
    show.say("\nWithin exports: [ … ] of the account POSTCOMMIT:\n")
    print(told["exports"])
    show.say("\nWithin publish: { deny: [ … ] } of the user subscriber:\n")
    print(",\n".join(f'      "{subject}"' for subject in told["denied"]))
