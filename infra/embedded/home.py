"""The directory of an embedded installation: what lies where, its secrets and ports, and who serves it.

postgres/  nats/  mail/  notices/  files/  logs/  locks/  files of the servers
lock                                    held by the one supervisor of this directory
secrets.json  ports.json                made once, kept
run.json                                how to reach everything; there only while everything is ready
"""

import json
import os
import secrets
import socket
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from typing import Any

from infra.embedded.child import Held, await_leftovers, open_private, take
from infra.exits import Refused

HOST = "127.0.0.1"
SECRETS: Mapping[str, tuple[str, ...]] = {
    "postgres": ("postgres", "postcommit_owner", "postcommit"),
    "nats": ("api", "relay", "worker", "reader", "subscriber", "admin"),
    "keys": ("operator", "client", "worker", "auditor"),
    "webhook": ("warehouse",),
}
PORTS = ("postgres", "nats", "mail", "notices", "http")


@dataclass(frozen=True, slots=True)
class Home:
    path: Path
    secrets: Mapping[str, Mapping[str, str]]
    ports: Mapping[str, int]

    @property
    def mail(self) -> Path:
        return self.path / "mail"

    @property
    def files(self) -> str:
        """The store of files: a folder of this one, unless the environment names another."""
        return os.environ.get("POSTCOMMIT_FILES", str(self.path / "files"))

    @property
    def notices(self) -> Path:
        return self.path / "notices"

    @property
    def warehouse(self) -> str:
        return f"http://{HOST}:{self.ports['notices']}/warehouse"

    @property
    def http(self) -> str:
        return f"http://{HOST}:{self.ports['http']}"

    @property
    def smtp(self) -> str:
        return f"smtp://{HOST}:{self.ports['mail']}"

    def log(self, name: str) -> Path:
        return self.path / "logs" / f"{name}.log"

    def lock(self, name: str) -> Path:
        return self.path / "locks" / name

    def dsn(self, role: str, database: str = "postcommit") -> str:
        return f"postgresql://{role}:{self.secrets['postgres'][role]}@{HOST}:{self.ports['postgres']}/{database}"

    def nats(self, user: str) -> str:
        return f"nats://{user}:{self.secrets['nats'][user]}@{HOST}:{self.ports['nats']}"


@contextmanager
def occupied(path: Path, http_port: int = 0) -> Iterator[Home]:
    """Hold the directory, made if need be, for as long as the block runs.

    Everything that an earlier, killed supervisor left is gone when the block begins. An http_port of 0 takes the
    port of last time, or a free one. Raises Refused if the directory cannot be used, or another process holds it or
    the port."""
    path = path.resolve()
    make(path)
    lock = _hold(path)
    try:
        (path / "run.json").unlink(missing_ok=True)
        await_leftovers(path / "locks")
        with ExitStack() as holding:
            ports = _ports(path / "ports.json", http_port, holding)
            yield Home(path, _secrets(path / "secrets.json"), ports)
    finally:
        (path / "run.json").unlink(missing_ok=True)
        os.close(lock)


def opened(path: Path) -> Home:
    """The directory as another process serves it. Raises Refused where nothing was ever served there."""
    kept, ports = _read(path / "secrets.json"), _read(path / "ports.json")
    if not kept or not ports:
        raise Refused(f"The directory {path} is not that of `postcommit up`: it has no secrets.json and ports.json.")
    return Home(path.resolve(), kept, ports)


def make(path: Path) -> None:
    """Make what is missing of the directory, closed to other users; Postgres's user needs no way through it.

    Raises Refused."""
    try:
        if not path.exists():
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("logs", "mail", "notices", "files", "locks"):
            (path / name).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise _unusable(path, error) from error


def write_run(home: Home, pids: Mapping[str, list[int]], metrics: Mapping[str, list[str]]) -> None:
    """Tell how to reach everything: addresses, keys, and the processes of each name."""
    told = {
        "http": home.http,
        "postgres": home.dsn("postcommit"),
        "postgres_admin": home.dsn("postgres"),
        "postgres_owner": home.dsn("postcommit_owner"),
        "nats": home.nats("subscriber"),
        "nats_admin": home.nats("admin"),
        "mail": home.smtp,
        "notices": home.warehouse,
        "files": home.files,
        "metrics": metrics,
        "keys": home.secrets["keys"],
        "pids": pids,
    }
    write_private(home.path / "run.json", json.dumps(told, indent=2))


def write_private(path: Path, text: str) -> None:
    """Replace the file at once, readable by this user only."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(open_private(fresh, os.O_EXCL), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def port_is_free(port: int, host: str = HOST, *, untouched: bool = False) -> bool:
    """Whether a server could listen there; connections of an ended server that still linger do no harm.

    `untouched`: also none lingers, and nobody keeps it for a server that is still to start."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, not untouched)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A free port below those that the kernel gives to outgoing connections.

    Above, a client that keeps dialling a server which is down sooner or later connects to itself, and keeps the
    server from coming back."""
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    candidates = range(10_240, first_outgoing) if first_outgoing > 12_000 else range(20_000, 60_000)
    while not port_is_free(port := SystemRandom().choice(candidates), untouched=True):
        pass
    return port


@contextmanager
def held(port: int) -> Iterator[None]:
    """Bound and not listened at: servers that set SO_REUSEADDR may listen there, and who looks for a free port does not
    choose it."""
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # taken since it was looked at: its server tells of it
            bound.bind((HOST, port))
        yield


def _hold(path: Path) -> int:
    try:
        lock = take(path / "lock")
    except Held:
        pid = (path / "lock").read_text().strip() or "unknown"
        raise Refused(f"The directory {path} is already served by process {pid}.") from None
    except OSError as error:
        raise _unusable(path, error) from error
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _unusable(path: Path, error: OSError) -> Refused:
    return Refused(f"The directory {path} cannot be used: {error.strerror}.")


def _secrets(path: Path) -> Mapping[str, Mapping[str, str]]:
    kept = _read(path)
    made = {part: {name: _secret(part, name) for name in names} | kept.get(part, {}) for part, names in SECRETS.items()}
    if made != kept:
        write_private(path, json.dumps(made, indent=2))
    return made


def _secret(part: str, name: str) -> str:
    chance = secrets.token_urlsafe(32)
    match part:
        case "keys":
            return f"pc_{name}_{chance}"
        case "webhook":  # as Standard Webhooks has it
            return f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"
        case _:
            return chance


def _ports(path: Path, http_port: int, holding: ExitStack) -> Mapping[str, int]:
    kept: dict[str, int] = _read(path)
    if http_port and not port_is_free(http_port):
        raise Refused(f"The port {http_port} is already used by another program.")
    ports: dict[str, int] = {}
    for name in PORTS:
        wanted = http_port if name == "http" and http_port else kept.get(name, 0)
        ports[name] = wanted if wanted and wanted not in ports.values() and port_is_free(wanted) else free_port()
        holding.enter_context(held(ports[name]))
    if ports != kept:
        write_private(path, json.dumps(ports, indent=2))
    return ports


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text())) if path.exists() else {}
    except OSError as error:
        raise Refused(f"The file {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise Refused(f"The file {path} is not as `postcommit up` wrote it: {error}.") from error
