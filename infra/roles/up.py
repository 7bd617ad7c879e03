"""The role `up`: every other role on embedded servers, supervised, each in a process of its own."""

import json
import os
import select
import sys
import traceback
from asyncio import run
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from infra.app import QUEUES
from infra.embedded import nats
from infra.embedded.binaries import Missing
from infra.embedded.child import Command, Failed, Process, open_private
from infra.embedded.home import HOST, Home, make, occupied
from infra.embedded.servers import Server, servers_of
from infra.embedded.supervisor import READY_S, RESERVE_S, Announce, Kept, supervise
from infra.exits import REFUSED, Refused, told
from infra.settings import Settings

PROGRAM = (sys.executable, "-m", "infra.cli")


@dataclass(frozen=True, slots=True)
class Role:
    """A program to run, once for each of count; its name is also that of its NATS user, if there is one."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    count: int = 1


SCRAPED = ("relay", "worker", "reader")  # what tells metrics on a port of its own
STEPS = (Role("migrate", (*PROGRAM, "migrate")), Role("keys", (*PROGRAM, "keys", "import", "--keep")))


def roles_of(workers: int, relays: int) -> tuple[Role, ...]:
    return (
        Role("api", (*PROGRAM, "api")),
        Role("relay", (*PROGRAM, "relay"), count=relays),
        Role("worker", (*PROGRAM, "worker"), count=workers),
        Role("reader", (*PROGRAM, "reader")),
    )


def up(
    home: Path,
    port: int,
    *,
    workers: int = 1,
    relays: int = 1,
    detach: bool = False,
    verbose: bool = False,
    grace_s: float = Settings().grace_s,
    metrics_port: int = 0,
    queues: Sequence[str] = QUEUES,
    steps: Sequence[Role] = STEPS,
    roles: Sequence[Role] | None = None,
) -> int:
    """Run everything on the directory until SIGTERM or SIGINT, and give the exit code: 0 stopped in good order,
    1 something failed, 78 refused (directory or port in use, wrong settings, not Linux).

    A port of 0 takes the one of last time, or a free one. Once all is ready, and only while this process lives in
    good order, `run.json` in the directory tells the addresses, keys and process ids, and a line on stdout says so.
    A metrics_port is the first of as many as there are relays, workers and readers, one for each; 0: none.
    With detach, this process returns 0 as soon as all is ready, and a supervisor in the background goes on.
    The steps run once, in order, before the roles start; each gets the four API keys as JSON on its stdin. At the end a
    role is killed where it has not ended within grace_s and a reserve.

    SIGUSR1 stops NATS, wipes JetStream's storage and starts it again. SIGUSR2 holds NATS stopped; the next SIGUSR2
    lets it run again. Every other child can be killed or stopped at will: what ends is started again."""

    def start() -> int:
        _require_possible(port, workers=workers, relays=relays)
        wanted = roles_of(workers, relays) if roles is None else roles
        ports = _metrics_ports(wanted, metrics_port)
        serve = partial(_serve, home.resolve(), port, queues, steps, wanted, verbose, grace_s, ports)
        return _in_background(home.resolve(), serve) if detach else serve(_print)

    return told(start)


def _require_possible(port: int, **counts: int) -> None:
    if sys.platform != "linux":
        raise Refused(f"The embedded servers need Linux; this is {sys.platform}.")
    if not 0 <= port <= 65_535:
        raise Refused(f"The port should be from 0 to 65535, and it is {port}.")
    for name, count in counts.items():
        if count < 0:
            raise Refused(f"The number of {name} should be 0 or more, and it is {count}.")


def _metrics_ports(roles: Sequence[Role], first: int) -> dict[tuple[str, int], int]:
    """By role and number, the port of each process that is to have one."""
    scraped = [(role.name, index) for role in roles if role.name in SCRAPED for index in range(role.count)]
    if first + len(scraped) - 1 > 65_535:
        raise Refused(f"There are not {len(scraped)} ports for metrics from {first} on; the last is 65535.")
    return dict(zip(scraped, range(first, first + len(scraped)), strict=True)) if first else {}


def _serve(
    path: Path,
    port: int,
    queues: Sequence[str],
    steps: Sequence[Role],
    roles: Sequence[Role],
    verbose: bool,
    grace_s: float,
    ports: Mapping[tuple[str, int], int],
    announce: Announce,
) -> int:
    try:
        with occupied(path, port) as home:
            prepare = [_command(home, step, 0, owner=True) for step in steps]
            kept = [
                _kept(home, role, index, verbose, grace_s, ports.get((role.name, index), 0))
                for role in roles
                for index in range(role.count)
            ]
            run(supervise(servers_of(home, queues), prepare, kept, announce))
    except Refused as error:
        announce(REFUSED, str(error))
        return REFUSED
    except (Failed, Missing) as error:
        announce(1, str(error))
        return 1
    except OSError as error:
        announce(1, f"The directory {path} cannot be used: {error}.")
        return 1
    return 0


def _kept(home: Home, role: Role, index: int, verbose: bool, grace_s: float, port: int) -> Kept:
    server = Server(partial(_command, home, role, index, port, shown=verbose), _at_once)
    return Kept(role.name, server, grace_s + RESERVE_S, f"http://{HOST}:{port}/metrics" if port else "")


def _command(home: Home, role: Role, index: int, port: int = 0, *, owner: bool = False, shown: bool = False) -> Command:
    return Command(
        name=role.name,
        argv=role.argv,
        env=_environment(home, role, port, owner),
        stdin=json.dumps(home.secrets["keys"]).encode() if owner else b"",
        log=home.log(role.name),
        lock=home.lock(f"{role.name}-{index}"),
        shown=shown,
    )


def _environment(home: Home, role: Role, port: int, owner: bool) -> dict[str, str]:
    """The caller's variables, so that tunables pass through, below the addresses with this role's own rights."""
    given = {name: value for name, value in os.environ.items() if name != "POSTCOMMIT_POSTGRES_OWNER"}
    own = {
        "POSTCOMMIT_POSTGRES": home.dsn("postcommit"),
        "POSTCOMMIT_SMTP": home.smtp,
        "POSTCOMMIT_MAIL_DIR": str(home.mail),
        "POSTCOMMIT_NOTICES_DIR": str(home.notices),
        "POSTCOMMIT_FILES": home.files,
        "POSTCOMMIT_SCRATCH": given.get("POSTCOMMIT_SCRATCH", str(home.path / "scratch")),
        "POSTCOMMIT_WEBHOOK_URL": given.get("POSTCOMMIT_WEBHOOK_URL", home.warehouse),
        "POSTCOMMIT_WEBHOOK_SECRET": given.get("POSTCOMMIT_WEBHOOK_SECRET", home.secrets["webhook"]["warehouse"]),
        "POSTCOMMIT_WEBHOOK_PRIVATE": given.get("POSTCOMMIT_WEBHOOK_PRIVATE", "true"),  # the sink is on this machine
        "POSTCOMMIT_HOST": given.get("POSTCOMMIT_HOST", HOST),
        "POSTCOMMIT_PORT": str(home.ports["http"]),
        "POSTCOMMIT_METRICS_PORT": str(port),
        "POSTCOMMIT_NATS_MAX_BYTES": given.get("POSTCOMMIT_NATS_MAX_BYTES", str(nats.most_bytes(home))),
    }
    if role.name == "worker":  # its own default is all processors: those of one machine share them
        share = max((os.cpu_count() or 1) // role.count, 1)
        own["POSTCOMMIT_MEDIA_SLOTS"] = given.get("POSTCOMMIT_MEDIA_SLOTS", str(share))
    if owner:
        own["POSTCOMMIT_POSTGRES_OWNER"] = home.dsn("postcommit_owner")
    if role.name in home.secrets["nats"]:
        own["POSTCOMMIT_NATS"] = home.nats(role.name)
    return given | own | dict(role.env)


async def _at_once(_: Process) -> None:
    """Roles say for themselves when they are ready, at /readyz."""


def _print(code: int, sentence: str) -> None:
    print(sentence, file=sys.stderr if code else sys.stdout, flush=True)


def _in_background(path: Path, serve: Callable[[Announce], int]) -> int:
    make(path)
    log = open_private(path / "logs/supervisor.log", os.O_APPEND)
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        return _hear(reader, path)
    os.close(reader)
    try:
        _leave_terminal(log)
        os._exit(serve(partial(_tell, writer)))
    except BaseException:  # nothing of the parent's stack may run in this process
        traceback.print_exc()
        os._exit(1)


def _leave_terminal(log: int) -> None:
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)


def _tell(writer: int, code: int, sentence: str) -> None:
    _print(code, sentence)
    with suppress(BrokenPipeError):  # the parent has heard that all is ready, and is gone
        os.write(writer, json.dumps([code, sentence]).encode() + b"\n")


def _hear(reader: int, path: Path) -> int:
    heard, _, _ = select.select([reader], [], [], READY_S + 60)
    line = os.read(reader, 65_536) if heard else b""
    code, sentence = json.loads(line) if line else (1, f"The supervisor did not start, see {path}/logs/supervisor.log")
    _print(code, sentence)
    return int(code)
