"""The settings of every role: one typed record, read from POSTCOMMIT_* variables or a TOML file."""

import os
import re
import tomllib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import urlsplit

from infra.exits import Refused

SCHEMES = {  # of the addresses, which may carry a password
    "postgres": ("postgresql", "postgres"),
    "postgres_owner": ("postgresql", "postgres"),
    "nats": ("nats", "tls"),
    "smtp": ("smtp", "smtps"),
}
LEVELS = ("critical", "error", "warning", "info", "debug")
FILE = "POSTCOMMIT_CONFIG"
OF_TESTS = "POSTCOMMIT_TEST_"  # variables that begin so are no settings


class BadSetting(Refused):
    """A setting that cannot be used; the message is a full sentence with the value that was wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every field is the variable POSTCOMMIT_<FIELD>; a TOML file named by POSTCOMMIT_CONFIG comes below it."""

    postgres: str = "postgresql://postcommit@127.0.0.1:5432/postcommit"  # the role that may append, not change
    postgres_owner: str = ""  # the role that owns the schema: `postcommit migrate` only
    nats: str = "nats://127.0.0.1:4222"
    nats_replicas: int = 1  # of the stream LOG
    nats_max_bytes: int = 2 * 1024**3  # of the stream LOG; the oldest messages go first
    nats_max_age_s: float = 7 * 86_400.0
    host: str = "127.0.0.1"
    port: int = 8000
    smtp: str = "smtp://127.0.0.1:25"
    mail_from: str = "postcommit <noreply@example.com>"
    mail_dir: str = ""  # embedded mode only: where the mail sink writes, so that GET /v1/mail can read it
    trusted_proxies: tuple[str, ...] = ()  # addresses whose X-Forwarded-For is believed
    queues: tuple[str, ...] = ()  # of a worker; empty means every queue
    slots: int = 16  # tasks that one worker process runs at once
    lease_s: float = 10.0  # how long a worker may be silent before its tasks are rescued
    heartbeat_s: float = 3.0
    unheard_s: float = 5.0  # how long a queued task may go unheard before its bell rings again
    grace_s: float = 10.0  # what running tasks get after SIGTERM
    pool: int = 8  # connections to Postgres of one process
    backlog: int = 10_000  # appends that may wait in one API process before it answers 503
    refill: int = 100_000  # positions that a re-created stream is filled with again, at most
    log_level: str = "info"


def load(environ: dict[str, str] | None = None) -> Settings:
    """Read the settings.

    Raises BadSetting for an unknown name, or a value that cannot be one of the field."""
    environ = dict(os.environ) if environ is None else environ
    names = {f.name: f"POSTCOMMIT_{f.name.upper()}" for f in fields(Settings)}
    _require_known(environ, {*names.values(), FILE})
    given = _file(environ[FILE], names.keys()) if environ.get(FILE) else {}
    given |= {name: environ[variable] for name, variable in names.items() if variable in environ}
    hints = get_type_hints(Settings)
    settings = replace(Settings(), **{name: _typed(name, value, hints[name]) for name, value in given.items()})
    _require_usable(settings)
    return settings


def _require_known(environ: Mapping[str, str], known: Set[str]) -> None:
    ours = {name for name in environ if name.startswith("POSTCOMMIT_") and not name.startswith(OF_TESTS)}
    if unknown := sorted(ours - known):
        raise BadSetting(f"The environment has unknown settings: {', '.join(unknown)}.")


def _file(path: str, known: Set[str]) -> dict[str, Any]:
    try:
        given = tomllib.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise BadSetting(f"The settings file {path!r} cannot be read: {error}.") from error
    if unknown := sorted(given.keys() - known):
        raise BadSetting(f"The settings file {path!r} has unknown settings: {', '.join(unknown)}.")
    return given


def _typed(name: str, value: Any, kind: Any) -> Any:
    try:
        if kind in (int, float):
            return kind(value)
        if kind is str:
            return str(value)
        return (
            tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else tuple(value)
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise BadSetting(f"The setting {name} should be a {kind.__name__}, and it is {value!r}.") from error


def _require_usable(settings: Settings) -> None:
    for name, schemes in SCHEMES.items():
        value = getattr(settings, name)
        if not (_is_address(value, schemes) or (name == "postgres_owner" and not value)):
            begins = " or ".join(f"{scheme}://" for scheme in schemes)
            raise BadSetting(
                f"The setting {name} should begin with {begins} and name a host, and it is {mask(value)!r}."
            )
    if not 0 <= settings.port <= 65_535:
        raise BadSetting(f"The setting port should be from 0 to 65535, and it is {settings.port}.")
    if settings.log_level.lower() not in LEVELS:
        raise BadSetting(
            f"The setting log_level should be one of {', '.join(LEVELS)}, and it is {settings.log_level!r}."
        )


def _is_address(value: str, schemes: Sequence[str]) -> bool:
    try:
        parts = urlsplit(value)
        named = parts.hostname or (parts.netloc and "host=" in parts.query)  # a Postgres at a Unix socket
        return parts.scheme in schemes and bool(named) and parts.port != 0
    except ValueError:  # of the port, or of brackets that do not match
        return False


def masked(settings: Settings) -> dict[str, Any]:
    """The settings as a dictionary fit to be shown: passwords in addresses are replaced by ***."""
    shown = {f.name: getattr(settings, f.name) for f in fields(settings)}
    return {name: mask(value) if name in SCHEMES else value for name, value in shown.items()}


def mask(address: str) -> str:
    """The address without what stands before its last @, but for the user's name, and without its query.

    Whatever it is, what it calls a password is not shown."""
    address = re.sub(r"(?i)(passw\w*[\"']?\s*[=:]\s*)('[^']*'|\"[^\"]*\"|[^\s&]+)", r"\1***", address)
    begin = re.match(r"[a-zA-Z+]+://", address)
    scheme = begin.group() if begin else ""
    before, at, after = address.removeprefix(scheme).rpartition("@")
    user, colon, _ = before.partition(":")
    host, question, _ = after.partition("?")
    shown = (f"{user}:***@" if colon else "***@") if at else ""
    return f"{scheme}{shown}{host}" + ("?***" if question else "")
