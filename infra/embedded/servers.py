"""The three servers without our roles, as objects that can be started, stopped, killed and wiped: also for tests.

with start_servers(tmp_path) as servers:
    servers.dsn("postcommit"), servers.nats_url("relay"), servers.smtp
    servers.nats.kill()
    servers.nats.start()
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from signal import SIGTERM, Signals
from typing import Any

from infra.app import QUEUES
from infra.embedded import nats, postgres
from infra.embedded.child import Command, Failed, Held, Process, spawn, until
from infra.embedded.home import HOST, Home, occupied

ROOT = Path(__file__).parents[2]  # where `infra` can be imported from
PATIENCE_S = 60.0
AGAIN_S, SAID_AFTER_S = 0.02, 1.0  # for a lock that is held


@dataclass(slots=True)
class Server:
    """One server on its directory and port, which outlive the process."""

    command: Callable[[], Command]
    ready: Callable[[Process], Coroutine[Any, Any, None]]
    ending: Signals = SIGTERM
    process: Process | None = None

    @property
    def pid(self) -> int:
        """Of the running process; 0 if there is none."""
        return self.process.pid if self.process and self.process.poll() is None else 0

    def start(self) -> None:
        """Start it and wait until it serves. From the main thread only; raises Failed."""
        self.process = process = _started(self.command())
        with ThreadPoolExecutor(1) as other:  # the caller's thread may be running an event loop
            other.submit(asyncio.run, self.ready(process)).result()

    def stop(self) -> None:
        """End it in good order; nothing happens if it does not run."""
        if self.process and self.pid:
            self.process.send_signal(self.ending)
            self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """End it with kill -9."""
        if self.process:
            self.process.kill()
            self.process.wait(PATIENCE_S)

    def restart(self) -> None:
        self.stop()
        self.start()


@dataclass(frozen=True, slots=True)
class Servers:
    home: Home
    postgres: Server
    nats: Server
    mail: Server
    notices: Server

    def dsn(self, role: str = "postcommit", database: str = "postcommit") -> str:
        """The address of the database for the role postgres (superuser), postcommit_owner or postcommit."""
        return self.home.dsn(role, database)

    def nats_url(self, user: str) -> str:
        """The address of NATS for api, relay, worker, reader, subscriber or admin.

        The first four must connect with inbox_prefix `_INBOX_<user>`."""
        return self.home.nats(user)

    @property
    def smtp(self) -> str:
        return self.home.smtp

    @property
    def mails(self) -> list[Path]:
        """What has been delivered, oldest first."""
        return sorted(self.home.mail.glob("*.eml"))

    def wipe_nats(self) -> None:
        """Lose all of JetStream's storage, as if the disk had been replaced; NATS runs afterwards."""
        self.nats.kill()
        nats.wipe(self.home)
        self.nats.start()


@contextmanager
def start_servers(path: Path, queues: Sequence[str] = QUEUES) -> Iterator[Servers]:
    """Run Postgres, NATS and the mail sink on the directory for as long as the block runs.

    No schema is made. Data, secrets and ports are kept in the directory for the next time."""
    with occupied(path) as home:
        servers = servers_of(home, queues)
        try:
            for server in (servers.postgres, servers.nats, servers.mail, servers.notices):
                server.start()
            yield servers
        finally:
            for server in (servers.notices, servers.mail, servers.nats, servers.postgres):
                server.stop()


def servers_of(home: Home, queues: Sequence[str]) -> Servers:
    """The servers of the directory, not started."""
    return Servers(
        home=home,
        postgres=Server(partial(postgres.command, home), partial(postgres.ready, home), postgres.STOP),
        nats=Server(partial(nats.command, home, tuple(queues)), partial(nats.ready, home)),
        mail=Server(partial(_mail, home), partial(_mail_ready, home)),
        notices=Server(partial(_notices, home), partial(_notices_ready, home)),
    )


def _mail(home: Home) -> Command:
    program = (sys.executable, "-m", "infra.embedded.mail")
    return Command(
        name="mail",
        argv=(*program, "--dir", str(home.mail), "--port", str(home.ports["mail"])),
        cwd=ROOT,
        log=home.log("mail"),
        lock=home.lock("mail"),
    )


async def _mail_ready(home: Home, process: Process) -> None:
    async def greets() -> bool:
        try:
            reader, writer = await asyncio.open_connection(HOST, home.ports["mail"])
            greeting = await reader.readline()
            writer.close()
        except OSError:
            return False
        return greeting.startswith(b"220")

    await until(process, home.log("mail"), greets)


def _notices(home: Home) -> Command:
    program = (sys.executable, "-m", "infra.embedded.notices")
    return Command(
        name="notices",
        argv=(*program, "--dir", str(home.notices), "--port", str(home.ports["notices"])),
        env=dict(os.environ) | {"NOTICES_SECRET": home.secrets["webhook"]["warehouse"]},
        cwd=ROOT,
        log=home.log("notices"),
        lock=home.lock("notices"),
    )


async def _notices_ready(home: Home, process: Process) -> None:
    async def answers() -> bool:
        try:
            reader, writer = await asyncio.open_connection(HOST, home.ports["notices"])
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            status = await reader.readline()
            writer.close()
        except OSError:
            return False
        return b" 204 " in status

    await until(process, home.log("notices"), answers)


def _started(command: Command) -> Process:
    for process in spawning(command):
        if process is not None:
            return process
        time.sleep(AGAIN_S)
    raise AssertionError("unreachable")


def spawning(command: Command, patience_s: float = PATIENCE_S) -> Iterator[Process | None]:
    """Start the child. Gives None, for a pause of AGAIN_S, as long as an earlier one holds its lock; then the process.

    Postgres leaves processes behind for a moment when it is killed. Who holds a lock for longer is said, once. Raises
    Failed where that does not end in time, or the program cannot be run."""
    begin = time.monotonic()
    said = False
    while (process := _spawned(command)) is None:
        waited = time.monotonic() - begin
        if waited > patience_s:
            raise Failed(f"An earlier {command.name} still runs: {_holders(command.lock)}.")
        if waited > SAID_AFTER_S and not said:
            said = True
            print(f"{command.name} waits for an earlier one: {_holders(command.lock)}.", file=sys.stderr, flush=True)
        yield None
    yield process


def _spawned(command: Command) -> Process | None:
    try:
        return spawn(command)
    except Held:
        return None


def _holders(lock: Path) -> str:
    """Who has the file open, as far as this user may see, as the end of a sentence."""
    holders = {fd.parts[2] for fd in Path("/proc").glob("[0-9]*/fd/*") if _is(fd, lock)}
    found = f"process {', '.join(sorted(holders, key=int))}" if holders else "a process that this user may not see"
    return f"{found} holds {lock}"


def _is(fd: Path, file: Path) -> bool:
    try:
        return fd.samefile(file)
    except OSError:  # closed meanwhile
        return False
