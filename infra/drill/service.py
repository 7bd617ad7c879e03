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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import httpx
import msgspec

from infra.drill.proxy import HOST, Proxy
from infra.embedded.home import Home, occupied
from infra.roles.up import Role, roles_of, up

PATHS = {"postgres": "postgres", "nats": "nats", "smtp": "mail", "webhook": "notices"}  # a path -> the port it leads to
ROLES = ("api", "relay", "worker", "reader")
READY = "postcommit is ready"
START_S, STOP_S = 120.0, 60.0
BACK_S = 60.0  # within which the supervisor has started again what was killed
T = TypeVar("T")


class NotStarted(Exception):
    """The service did not start; the message is what it said."""


class Ended(Exception):
    """The service does not run as it should, so that nothing can be struck any more."""


@dataclass(slots=True)
class Service:
    home: Path
    process: asyncio.subprocess.Process
    proxies: Mapping[str, Proxy]

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
        connection = await asyncpg.connect(self.run["postgres_admin"], timeout=10)
        try:
            yield connection
        finally:
            connection.terminate()

    async def until(self, holds: Callable[[], T], what: str) -> T:
        """What `holds` answers, once it is true. Raises Ended where the supervisor has ended, or time is over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + BACK_S
        while not (found := holds()):
            if self.process.returncode is not None:
                raise Ended(f"The service has ended with code {self.process.returncode}.")
            if loop.time() > deadline:
                raise Ended(f"Waited {BACK_S:.0f} s for {what}.")
            await asyncio.sleep(0.05)
        return found


@asynccontextmanager
async def started(home: Path, environ: Mapping[str, str]) -> AsyncIterator[Service]:
    """The service on a fresh directory, for as long as the block runs. Raises NotStarted."""
    with occupied(home) as made:
        ports = dict(made.ports)
    proxies = {path: Proxy(path, ports[to]) for path, to in PATHS.items()}
    async with AsyncExitStack() as open:
        for proxy in proxies.values():
            await open.enter_async_context(proxy.open())
        listening = json.dumps({path: proxy.port for path, proxy in proxies.items()})
        with (home / "logs/up.log").open("ab") as talk:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "infra.drill.service", str(home), listening),
                env=os.environ | dict(environ),
                stdout=subprocess.PIPE,
                stderr=talk,
            )
        try:
            await _ready(process, home)
            yield Service(home, process, proxies)
        finally:
            await _ended(process)


async def _ready(process: asyncio.subprocess.Process, home: Path) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(START_S):
        line = (await process.stdout.readline()).decode()
    if not line.startswith(READY):
        raise NotStarted((home / "logs/up.log").read_text()[-2_000:] or line)


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def proxied(home: Home, ports: Mapping[str, int]) -> list[Role]:
    """The roles, with addresses that lead through the proxies."""
    found = []
    for role in roles_of(workers=2, relays=2):
        own = {
            "POSTCOMMIT_POSTGRES": _at(home.dsn("postcommit"), ports["postgres"]),
            "POSTCOMMIT_SMTP": _at(home.smtp, ports["smtp"]),
            "POSTCOMMIT_WEBHOOK_URL": _at(home.warehouse, ports["webhook"]),
        }
        if role.name in home.secrets["nats"]:
            own["POSTCOMMIT_NATS"] = _at(home.nats(role.name), ports["nats"])
        found.append(Role(role.name, role.argv, own, role.count))
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
    sys.exit(up(home, 0, roles=roles, workers=2, relays=2))


if __name__ == "__main__":
    main()
