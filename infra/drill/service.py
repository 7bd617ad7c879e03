"""The service under the drill: embedded, in a directory of its own, and every path to a server goes through a proxy.

python -m infra.drill.service HOME PORTS, with the proxies' ports as JSON by the name of the path."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import httpx
import msgspec

from infra.drill.bucket import bucket, environment
from infra.drill.disk import Disk
from infra.drill.proxy import HOST, Proxy
from infra.embedded.child import tie
from infra.embedded.home import Home, held, occupied
from infra.roles.up import Role, roles_of, up

PATHS = {"postgres": "postgres", "nats": "nats", "smtp": "mail", "webhook": "notices"}  # a path -> the port it leads to
STORE = "store"  # the path to it, where it speaks S3
ROLES = ("api", "relay", "worker", "reader")
READY = "postcommit is ready"
WORKERS = RELAYS = 2
CRASHING = "POSTCOMMIT_TEST_CRASHING"  # roles die at crash points
CLOCK = "clock"  # a file in the home: by how many seconds the clocks of workers that start now are moved
MOVED = 'POSTCOMMIT_CLOCK_OFFSET_S="$(cat "$0" 2>/dev/null || echo 0)" exec "$@"'
START_S, STOP_S = 120.0, 120.0
BACK_S = 60.0  # within which the supervisor has started again what was killed
T = TypeVar("T")


class NotStarted(Exception):
    """The service did not start; the message is what it said."""


class Ended(Exception):
    """The service does not run as it should, so that nothing can be struck any more."""


@dataclass(slots=True)
class Service:
    """Its addresses, keys and data outlive a restart."""

    home: Path
    environ: Mapping[str, str]  # of all that is started
    proxies: Mapping[str, Proxy]
    disk: Disk | None  # on which the home lies, where it has one of its own
    process: asyncio.subprocess.Process = field(init=False)

    async def start(self) -> None:
        """Start it, and wait until it is ready. Raises NotStarted."""
        listening = json.dumps({path: proxy.port for path, proxy in self.proxies.items()})
        with (self.home / "logs/up.log").open("ab") as talk:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "infra.drill.service", str(self.home), listening),
                env=self.environ,
                stdout=subprocess.PIPE,
                stderr=talk,
                preexec_fn=partial(tie, os.getpid(), signal.SIGTERM),  # it must not outlive the drill
            )
        assert self.process.stdout is not None
        try:
            async with asyncio.timeout(START_S):
                line = (await self.process.stdout.readline()).decode()
        except TimeoutError:
            line = f"It was not ready in {START_S:.0f} s."
        if not line.startswith(READY):
            raise NotStarted((self.home / "logs/up.log").read_text()[-2_000:] or line)

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()

    @property
    def run(self) -> dict[str, Any]:
        """run.json as it is now."""
        return dict(json.loads((self.home / "run.json").read_text()))

    def pids(self, name: str) -> list[int]:
        return list(self.run["pids"][name])

    def signal(self, number: signal.Signals) -> None:
        """To the supervisor."""
        self.process.send_signal(number)

    def client(self, key: str, timeout_s: float = 10.0) -> httpx.AsyncClient:
        run = self.run
        head = {"Authorization": f"Bearer {run['keys'][key]}"}
        return httpx.AsyncClient(base_url=run["http"], headers=head, timeout=timeout_s, trust_env=False)

    @asynccontextmanager
    async def postgres(self) -> AsyncIterator["asyncpg.Connection[Any]"]:
        """A superuser's session, past the proxy."""
        connection = await self._connected()
        try:
            yield connection
        finally:
            connection.terminate()

    async def _connected(self) -> "asyncpg.Connection[Any]":
        """As soon as Postgres takes sessions: it may be recovering from the fault before."""
        async with asyncio.timeout(BACK_S):
            while True:
                try:
                    return await asyncpg.connect(self.run["postgres_admin"], timeout=10)
                except (OSError, TimeoutError, asyncpg.PostgresError):
                    await asyncio.sleep(0.1)

    async def until(self, holds: Callable[[], T], what: str) -> T:
        """What `holds` answers, once it is true. Raises Ended where the supervisor has ended, or time is over."""

        def told() -> T:
            if self.process.returncode is not None:
                raise Ended(f"The service has ended with code {self.process.returncode}.")
            return holds()

        return await within(told, what)


async def within(holds: Callable[[], T], what: str, patience_s: float = BACK_S) -> T:
    """What `holds` answers, once it is true; it is asked in a thread. Raises Ended where that takes too long."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_s
    while not (found := await asyncio.to_thread(holds)):
        if loop.time() > deadline:
            raise Ended(f"Waited {patience_s:.0f} s for {what}.")
        await asyncio.sleep(0.05)
    return found


@asynccontextmanager
async def started(
    home: Path, environ: Mapping[str, str], disk: Disk | None = None, afar: Path | None = None
) -> AsyncIterator[Service]:
    """The service on a fresh directory, for as long as the block runs; with `afar`, a file for the log of a store that
    speaks S3, files are kept there. Raises NotStarted."""
    async with AsyncExitStack() as open:
        with occupied(home) as made:
            ports = dict(made.ports)
            for port in ports.values():  # the proxies lead there, whoever starts beside it
                open.enter_context(held(port))
        proxies = {path: Proxy(path, ports[to]) for path, to in PATHS.items()}
        if afar is not None:
            proxies[STORE] = Proxy(STORE, await open.enter_async_context(bucket(afar)))
        for proxy in proxies.values():
            await open.enter_async_context(proxy.open())
        store = environment(proxies[STORE].port) if afar is not None else {}
        service = Service(home, _apart() | dict(environ) | dict(store), proxies, disk)
        try:
            await service.start()
            yield service
        finally:
            await service.stop()


def _apart() -> dict[str, str]:
    """The caller's variables without those that name a service, a store or settings of his."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("POSTCOMMIT_", "AWS_", "OTEL_"))}


def proxied(home: Home, ports: Mapping[str, int]) -> list[Role]:
    """The roles, with addresses that lead through the proxies."""
    found = []
    for role in roles_of(WORKERS, RELAYS):
        own = {
            "POSTCOMMIT_POSTGRES": _at(home.dsn("postcommit"), ports["postgres"]),
            "POSTCOMMIT_SMTP": _at(home.smtp, ports["smtp"]),
            "POSTCOMMIT_WEBHOOK_URL": _at(home.warehouse, ports["webhook"]),
        }
        if role.name in home.secrets["nats"]:
            own["POSTCOMMIT_NATS"] = _at(home.nats(role.name), ports["nats"])
        argv = role.argv
        if CRASHING in os.environ:
            argv = (sys.executable, "-m", "infra.drill.matrix.crashing", str(home.path / "crash"), role.name)
        elif role.name == "worker":
            argv = ("/bin/sh", "-c", MOVED, str(home.path / CLOCK), *argv)
        found.append(Role(role.name, argv, own, role.count))
    return found


def _at(address: str, port: int) -> str:
    """The same address with another port."""
    before, _, after = address.rpartition(f"@{HOST}:" if "@" in address else f"//{HOST}:")
    rest = after.partition("/")
    joint = f"@{HOST}:" if "@" in address else f"//{HOST}:"
    return f"{before}{joint}{port}{rest[1]}{rest[2]}"


def main() -> None:
    home, ports = Path(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=dict[str, int])
    with occupied(home) as made:
        roles = proxied(made, ports)
    sys.exit(up(home, 0, roles=roles, workers=WORKERS, relays=RELAYS))


if __name__ == "__main__":
    main()
