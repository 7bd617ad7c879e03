"""The command line. Data goes to stdout, talk to stderr. Every command imports what it needs when it is called."""

import json
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from infra.commands import consumers, events, keys, readers, tasks
from infra.commands.completion import Shell, script
from infra.commands.options import Home, Json
from infra.drill.schedule import SETTLE_S
from infra.exits import told


def version() -> str:
    from importlib.metadata import version

    return version("postcommit")


app = App(
    name="postcommit",
    help="Runs what happens after the commit: no task is lost, every result can be asked for.",
    version=version,
)
for group in (tasks.app, events.app, consumers.app, readers.app, keys.app):
    app.command(group)


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
    home
        Where everything is kept: stop it, start it again, and all is there.
    port
        Of the REST API; 0 takes a free one.
    workers
        How many worker processes run.
    relays
        How many relay processes run; one leads.
    detach
        Return as soon as everything is ready, and go on in the background.
    """
    from infra.roles.up import up as supervise
    from infra.settings import load

    settings = load()  # the roles would refuse what is wrong there, later and in a log
    return supervise(
        home,
        port,
        workers=workers,
        relays=relays,
        detach=detach,
        grace_s=settings.grace_s,
        metrics_port=settings.metrics_port,
    )


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
def worker(*, queue: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = ()) -> int:
    """Run a worker.

    Parameters
    ----------
    queue
        A queue that it works on; may be repeated. Without one it works on all.
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
    from infra.migrate import upgrade
    from infra.settings import load

    settings = load()
    print(f"The schema is at {upgrade(settings.postgres_owner or settings.postgres)}.", file=sys.stderr)
    return 0


@app.command
def demo() -> int:
    """Tell the whole story on embedded servers: sign-up, kill -9, a wiped NATS, a foreign transaction, the balance."""
    from infra.demo.story import demo as tell

    return tell()


@app.command
def drill(
    *,
    minutes: float = 10.0,
    seed: int = 1,
    settle_s: float = SETTLE_S,
    faults: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = (),
    home: Path | None = None,
    s3: Annotated[bool, Parameter(negative="")] = False,
    as_json: Json = False,
) -> int:
    """Prove the promise: start everything in a fresh directory, send work, strike it with faults, and check every
    acceptance against its outcome. Exit code 1 where one of them is not kept.

    Parameters
    ----------
    minutes
        How long faults strike.
    seed
        The same seed makes the same schedule of faults.
    settle_s
        Seconds at most between the end of a fault and the begin of the next; at least a sixth of them. Where they are
        few, faults strike into the recovery from others.
    faults
        A pattern of names of faults, such as `kill:*`; may be repeated. Without one all of them strike that can here;
        the others are told.
    home
        A directory that is empty or does not exist; it is kept. Without one a temporary directory is taken, and kept
        where something is wrong.
    s3
        Files are kept by a service that speaks S3 (moto, which must be installed), and the path to it fails, too.
    """
    from infra.drill.run import drill

    return drill(minutes, seed, settle_s, faults, home, as_json, s3)


@app.command
def check(*, home: Home = None, as_json: Json = False) -> int:
    """Check the invariants of the promise, in Postgres and against NATS. Exit code 1 where one is broken, 75 where
    Postgres or NATS cannot be asked.
    """
    import asyncio

    from infra.check.report import report

    return asyncio.run(report(home, as_json))


@app.command
def doctor(*, home: Home = None, as_json: Json = False) -> int:
    """Look at everything that can be looked at from here, and say what to do where it is not well. Exit code 1 where
    something has failed."""
    import asyncio

    from infra.doctor.report import report

    return asyncio.run(report(home, as_json))


@app.command
def config(*, as_json: Json = True) -> int:
    """Show the settings as they are in force, with secrets masked: one JSON document, also without --json."""
    from infra.settings import load, masked

    assert as_json, "There is no other form."
    print(json.dumps(masked(load()), indent=2))
    return 0


@app.command
def completion(shell: Shell, /) -> int:
    """Print what completes this program's commands and options in a shell.

    Parameters
    ----------
    shell
        For which one.
    """
    print(script(app, shell))
    return 0


def main() -> None:
    """The console script. Its exit codes stand in `infra/exits.py` and, explained, in docs/command-line.md."""
    sys.exit(told(app))


if __name__ == "__main__":
    main()
