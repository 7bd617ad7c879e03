"""The command line. Data goes to stdout, talk to stderr. Every command imports what it needs when it is called."""

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from infra.exits import told

app = App(
    name="postcommit",
    help="Runs what happens after the commit: no task is lost, every result can be asked for.",
    version=lambda: version("postcommit"),
)
keys_app = App(name="keys", help="Keys of the REST API.")
app.command(keys_app)
readers_app = App(name="readers", help="Readers: what is folded out of the log.")
app.command(readers_app)


@app.command
def up(
    *,
    home: Path = Path("postcommit-home"),
    port: int = 8000,
    workers: int = 1,
    relays: int = 1,
    detach: bool = False,
) -> int:
    """Run everything on embedded servers: Postgres, NATS, a mail sink, and every role as a process of its own.

    Parameters
    ----------
    home: Where everything is kept: stop it, start it again, and all is there.
    port: Of the REST API; 0 takes a free one.
    workers: How many worker processes run.
    relays: How many relay processes run; one leads.
    detach: Return as soon as everything is ready, and go on in the background.
    """
    from infra.roles.up import up as supervise
    from infra.settings import load

    settings = load()  # the roles would refuse what is wrong there, later and in a log
    return supervise(home, port, workers=workers, relays=relays, detach=detach, grace_s=settings.grace_s)


@app.command
def api() -> int:
    """Run the REST API."""
    from infra.roles.api import serve
    from infra.roles.role import run
    from infra.settings import load

    settings = load()
    return run(lambda: serve(settings), settings.log_level)


@app.command
def relay() -> int:
    """Run a relay: it numbers the log, mirrors it to NATS, and rescues lost tasks. Any number may run; one leads."""
    from infra.roles.relay import serve
    from infra.roles.role import run
    from infra.settings import load

    settings = load()
    return run(lambda: serve(settings), settings.log_level)


@app.command
def worker(*, queue: Annotated[tuple[str, ...], Parameter(negative="")] = ()) -> int:
    """Run a worker.

    Parameters
    ----------
    queue: A queue that it works on; may be repeated. Without one it works on all.
    """
    from infra.roles.role import run
    from infra.roles.worker import serve
    from infra.settings import load

    settings = load()
    return run(lambda: serve(settings, queue), settings.log_level)


@app.command
def reader() -> int:
    """Run the readers: they fold the log into the audit, the balance and the analytics, and release what waits."""
    from infra.roles.reader import serve
    from infra.roles.role import run
    from infra.settings import load

    settings = load()
    return run(lambda: serve(settings), settings.log_level)


@app.command
def migrate() -> int:
    """Bring the database's schema to this program's version. Needs POSTCOMMIT_POSTGRES_OWNER."""
    from infra.migrate import head, upgrade
    from infra.settings import load

    settings = load()
    upgrade(settings.postgres_owner or settings.postgres)
    print(f"The schema is at {head()}.", file=sys.stderr)
    return 0


@app.command
def demo() -> int:
    """Tell the whole story on embedded servers: sign-up, kill -9, a wiped NATS, a foreign transaction, the balance."""
    from infra.demo.story import demo as tell

    return tell()


@app.command
def check(*, home: Path | None = None, as_json: Annotated[bool, Parameter(name="--json")] = False) -> int:
    """Check the invariants of the promise, in Postgres and against NATS. Exit code 1 where one is broken, 75 where
    Postgres or NATS cannot be asked.

    Parameters
    ----------
    home: The directory of `postcommit up`; without it the settings say where Postgres and NATS are.
    as_json: One JSON document instead of a table.
    """
    import asyncio

    from infra.check.report import report

    return asyncio.run(report(home, as_json))


@app.command
def config() -> int:
    """Show the settings as they are in force, with secrets masked."""
    from infra.settings import load, masked

    print(json.dumps(masked(load()), indent=2))
    return 0


@keys_app.command(name="import")
def import_keys() -> int:
    """Take keys from stdin, as JSON {"name": "secret"}; a name is also the scope: client, worker, auditor, operator."""
    import asyncio

    from infra.keys import take
    from infra.settings import load

    asyncio.run(take(load().postgres, sys.stdin.buffer.read()))
    return 0


@readers_app.command(name="list")
def list_readers(*, home: Path | None = None, as_json: Annotated[bool, Parameter(name="--json")] = False) -> int:
    """List the readers: how far each is in the log, how far behind, and how many rows it has written.

    Parameters
    ----------
    home: The directory of `postcommit up`; without it the settings say where Postgres is.
    as_json: One JSON document instead of a table.
    """
    import asyncio

    from infra.readers import list_readers as tell

    return asyncio.run(tell(home, as_json))


@readers_app.command(name="rebuild")
def rebuild_reader(
    name: str,
    /,
    *,
    home: Path | None = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Fold the log anew beside a reader's rows, tell which differ, and mend those. Needs POSTCOMMIT_POSTGRES_OWNER.
    Exit code 0 where none differed, 1 where some did.

    Parameters
    ----------
    name: audit, balance or analytics.
    home: The directory of `postcommit up`; without it the settings say where Postgres is.
    dry_run: Only compare; this needs no owner.
    as_json: One JSON document instead of a line for each row.
    """
    import asyncio

    from infra.readers import rebuild

    return asyncio.run(rebuild(name, home, dry_run, as_json))


def main() -> None:
    """The console script. Exit codes: 0 done, 1 failed, 2 wrong usage, 70 the event loop of a role stood still,
    75 what it needs is away, 78 refused, 130 Ctrl-C before a role listened to it."""
    sys.exit(told(app))


if __name__ == "__main__":
    main()
