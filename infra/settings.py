"""The settings of every role: one typed record, read from POSTCOMMIT_* variables or a TOML file."""

import os
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import urlsplit, urlunsplit

SECRETS = {"postgres", "postgres_owner", "nats", "smtp"}  # addresses that may carry a password


class BadSetting(Exception):
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

    Raises BadSetting for an unknown name in the file, or a value that is not of the field's type."""
    environ = dict(os.environ) if environ is None else environ
    given: dict[str, Any] = {}
    if path := environ.get("POSTCOMMIT_CONFIG"):
        try:
            given = tomllib.loads(Path(path).read_text())
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise BadSetting(f"The settings file {path!r} cannot be read: {error}.") from error
    names = {f.name for f in fields(Settings)}
    if unknown := sorted(given.keys() - names):
        raise BadSetting(f"The settings file {path!r} has unknown settings: {', '.join(unknown)}.")
    for name in names:
        if (value := environ.get(f"POSTCOMMIT_{name.upper()}")) is not None:
            given[name] = value
    hints = get_type_hints(Settings)
    return replace(Settings(), **{name: _typed(name, value, hints[name]) for name, value in given.items()})


def _typed(name: str, value: Any, kind: Any) -> Any:
    try:
        if kind in (int, float):
            return kind(value)
        if kind is str:
            return str(value)
        return (
            tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else tuple(value)
        )
    except (TypeError, ValueError) as error:
        raise BadSetting(f"The setting {name} should be a {kind.__name__}, and it is {value!r}.") from error


def masked(settings: Settings) -> dict[str, Any]:
    """The settings as a dictionary fit to be shown: passwords in addresses are replaced by ***."""
    shown = {f.name: getattr(settings, f.name) for f in fields(settings)}
    return {name: _mask(value) if name in SECRETS else value for name, value in shown.items()}


def _mask(url: str) -> str:
    """The address without what stands before the @, but for the user's name, and without its query."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    shown = (f"{name}:***@" if colon else "***@") if at else ""
    return urlunsplit(parts._replace(netloc=shown + host, query="***" if parts.query else ""))
