"""The passwords of the registered consumers of an embedded installation: nats/consumers.json, made by the command line,
read by whoever writes the server's accounts. One process at a time does either: who read before another changed them
and wrote the accounts after him would lock his consumer out."""

import fcntl
import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from infra.embedded.home import Home, write_private

FILE = "nats/consumers.json"


def known(home: Home) -> Mapping[str, str]:
    """Passwords by name."""
    path = home.path / FILE
    return dict(json.loads(path.read_text())) if path.exists() else {}


def password() -> str:
    return secrets.token_urlsafe(32)


@contextmanager
def reading(home: Home) -> Iterator[Mapping[str, str]]:
    """Passwords by name, which nobody changes or reads in this way within the block."""
    with (home.path / "nats/consumers.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield known(home)


@contextmanager
def changing(home: Home) -> Iterator[dict[str, str]]:
    """The passwords, to be changed by one process at a time; they are kept when the block ends well."""
    with reading(home) as found:
        passwords = dict(found)
        yield passwords
        write_private(home.path / FILE, json.dumps(passwords, indent=2))
