"""`postcommit keys`: the keys of the REST API, changed on Postgres itself."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from domain.access import Scope
from infra.commands.options import Home, Json

app = App(name="keys", help="Keys of the REST API: made, listed, given another secret, revoked. Works on Postgres.")


@app.command
def create(name: str, /, *, scope: Scope, as_json: Json = False, home: Home = None) -> int:
    """Make a key. Its secret is printed now, and never again.

    Parameters
    ----------
    name
        Stands as `by` in tasks and as actor in the audit; a name is given only once.
    scope
        What the key may do.
    """
    from infra.keys import create

    _tell(name, asyncio.run(create(_dsn(home), name, scope)), as_json)
    return 0


@app.command(name="list")
def list_keys(*, as_json: Json = False, home: Home = None) -> int:
    """List the keys, without their secrets."""
    from dataclasses import asdict

    from infra.commands import show
    from infra.keys import listed

    rows = [
        {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in asdict(row).items()}
        for row in asyncio.run(listed(_dsn(home)))
    ]
    if as_json:
        show.document({"items": rows})
        return 0
    columns = ("name", "scope", "created_at", "revoked_at", "old_until")
    show.table(columns, ([row[name] for name in columns] for row in rows))
    return 0


@app.command
def rotate(name: str, /, *, grace_s: float = 0.0, as_json: Json = False, home: Home = None) -> int:
    """Give a key another secret, which is printed now, and never again.

    Parameters
    ----------
    name
        Of the key.
    grace_s
        For so many seconds the secret before stays valid, too.
    """
    from infra.keys import rotate

    _tell(name, asyncio.run(rotate(_dsn(home), name, grace_s)), as_json)
    return 0


@app.command
def revoke(name: str, /, *, home: Home = None) -> int:
    """End a key for good. Processes of the API that know it believe it for 10 s more.

    Parameters
    ----------
    name
        Of the key.
    """
    from infra.commands import show
    from infra.keys import revoke

    asyncio.run(revoke(_dsn(home), name))
    show.say(f"The key {name} is revoked; within 10 s no process of the API takes it any more.")
    return 0


@app.command(name="import")
def import_keys(*, keep: Annotated[bool, Parameter(negative="", show_default=False)] = False) -> int:
    """Take keys from stdin, as JSON {"name": "secret"}; a name is also the scope: client, worker, auditor, operator.

    Parameters
    ----------
    keep
        A key that exists keeps its secret; without this it gets the given one.
    """
    from infra.commands import show
    from infra.commands.keyfile import parse
    from infra.keys import take
    from infra.settings import load

    for name in asyncio.run(take(load().postgres, parse(sys.stdin.buffer.read()), keep)):
        show.say(f"The key {name} was revoked, and stays so.")
    return 0


def _dsn(home: Path | None) -> str:
    from infra.reach import servers

    return servers(home)[0]


def _tell(name: str, secret: str, as_json: bool) -> None:
    from infra.commands import show

    show.document({"name": name, "secret": secret}) if as_json else print(secret)
    show.say(f"This is the secret of the key {name}: keep it, it is told only now.")
