"""The settings of every role: one typed record, read from POSTCOMMIT_* variables or a TOML file."""

import os
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import urlsplit

from adapters.nats.names import addresses
from domain import warehouse
from infra.exits import Refused

SCHEMES = {  # of the addresses, which may carry a password
    "postgres": ("postgresql", "postgres"),
    "postgres_owner": ("postgresql", "postgres"),
    "nats": ("nats", "tls"),
    "smtp": ("smtp", "smtps"),
    "public_url": ("http", "https"),
    "url": ("http", "https"),
    "otel": ("http", "https"),
}
MAY_BE_EMPTY = ("postgres_owner", "public_url", "otel")
RANGES: Mapping[str, tuple[float, float]] = {  # least and most
    "nats_replicas": (1, 5),
    "nats_max_bytes": (0, 10**15),
    "nats_max_age_s": (0, 3 * 10**9),
    "port": (0, 65_535),
    "metrics_port": (0, 65_535),
    "slots": (1, 10_000),
    "lease_s": (1, 86_400),
    "heartbeat_s": (0.5, 43_200),
    "unheard_s": (0.5, 100),
    "grace_s": (0, 3_600),
    "clock_offset_s": (-86_400, 86_400),
    "upload_most_bytes": (0, 10**15),
    "upload_most_bytes_a_day": (0, 10**18),
    "upload_most_at_once": (1, 10**5),
    "upload_patience_s": (1, 10**9),
    "files_grace_s": (60, 10**9),
    "media_slots": (0, 1_000),
    "media_threads": (1, 64),
    "pool": (1, 1_000),
    "backlog": (1, 10**7),
    "refill": (1, 10**9),
}
WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
TRUTH = {"true": True, "1": True, "false": False, "0": False}
SECRETS = frozenset({"webhook_secret", "key"})
SIGNING = re.compile(r"whsec_[A-Za-z0-9+/]{32,88}={0,2}")
PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
LEVELS = ("critical", "error", "warning", "info", "debug")
FILE = "POSTCOMMIT_CONFIG"
BEATS = 0.3  # of a lease: two may be missed
OF_TESTS = "POSTCOMMIT_TEST_"  # variables that begin so are no settings


class BadSetting(Refused):
    """A setting that cannot be used; the message is a full sentence with the value that was wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every field is the variable POSTCOMMIT_<FIELD>; a TOML file named by POSTCOMMIT_CONFIG comes below it."""

    postgres: str = "postgresql://postcommit@127.0.0.1:5432/postcommit"  # the role that may append, not change
    postgres_owner: str = ""  # the role that owns the schema: `postcommit migrate` only
    nats: str = "nats://127.0.0.1:4222"  # several servers of one cluster: with commas between them
    nats_replicas: int = 1  # of the stream LOG
    nats_max_bytes: int = 2 * 1024**3  # of the stream LOG; the oldest messages go first; 0: no limit
    nats_max_age_s: float = 7 * 86_400.0  # 0: no limit
    metrics_port: int = 0  # of relay, worker and reader, on `host`; 0: none. The API tells at GET /metrics
    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str = ""  # where others reach the REST API; empty: http://<host>:<port>
    smtp: str = "smtp://127.0.0.1:25"
    mail_from: str = "postcommit <noreply@example.com>"
    mail_dir: str = ""  # embedded mode only: where the mail sink writes, so that GET /v1/mail can read it
    webhook_url: str = ""  # of the warehouse, for orders that name no other address
    webhook_secret: str = ""  # "whsec_" and base64: signs every notice
    webhook_private: bool = False  # whether notices may go to private networks, and by http
    notices_dir: str = ""  # embedded mode only: where the webhook sink writes, so that GET /v1/notices can read it
    files: str = ""  # of uploads: a folder that API and relay share, or s3://bucket/prefix; empty: no uploads
    upload_most_bytes: int = 20 * 1024**3  # of one upload
    upload_most_bytes_a_day: int = 100 * 1024**3  # that one key may announce within 24 hours
    upload_most_at_once: int = 50  # requests with bytes of uploads in one API process; each holds some in memory
    upload_patience_s: float = 86_400.0  # an upload expires when no byte came for so long
    files_grace_s: float = 86_400.0  # a file that nothing holds any more is kept for so long
    scratch: str = ""  # a folder in which workers work on files; empty: one in the folder for temporary files
    media_slots: int = 0  # tasks of the queue media that one worker runs at once; 0: as many as there are processors
    media_threads: int = 2  # of one ffmpeg
    image_sides: tuple[str, ...] = ("160", "640", "1600")  # of the sizes of images: the longer side in pixels
    video_sides: tuple[str, ...] = ("360", "720", "1080")  # of the renditions: the shorter side in pixels
    video_preset: str = "veryfast"  # of the encoder x264: from ultrafast to veryslow
    trusted_proxies: tuple[str, ...] = ()  # addresses whose X-Forwarded-For is believed
    queues: tuple[str, ...] = ()  # of a worker; empty means every queue
    slots: int = 16  # tasks that one worker process runs at once
    lease_s: float = 10.0  # how long a worker may be silent before its tasks are rescued
    heartbeat_s: float = 3.0  # at most half of lease_s
    unheard_s: float = 5.0  # how long a queued task may go unheard before its bell rings again
    grace_s: float = 10.0  # what running tasks get after SIGTERM
    clock_offset_s: float = 0.0  # by how much a worker's clock is wrong: for drills only
    pool: int = 8  # connections to Postgres of one process
    backlog: int = 10_000  # appends that may wait in one API process before it answers 503
    refill: int = 100_000  # positions that a re-created stream is filled with again, at most
    log_level: str = "info"
    otel: str = ""  # a collector of OpenTelemetry (OTLP over HTTP), such as http://127.0.0.1:4318; empty: no traces
    url: str = "http://127.0.0.1:8000"  # of the REST API, for `postcommit tasks` and `postcommit events`
    key: str = ""  # for the same

    @property
    def public(self) -> str:
        """The address of the REST API as others know it, without a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (self.public_url or f"http://{host}:{self.port}").rstrip("/")


def load(environ: dict[str, str] | None = None) -> Settings:
    """Read the settings.

    An unknown variable is told on stderr and left aside: an orchestrator may have set it for a purpose of its own.
    Raises BadSetting for an unknown name in the file, or a value that cannot be one of the field."""
    environ = dict(os.environ) if environ is None else environ
    names = {f.name: f"POSTCOMMIT_{f.name.upper()}" for f in fields(Settings)}
    _tell_unknown(environ, {*names.values(), FILE})
    given = _file(environ[FILE], names.keys()) if environ.get(FILE) else {}
    given |= {name: environ[variable] for name, variable in names.items() if variable in environ}
    hints = get_type_hints(Settings)
    settings = replace(Settings(), **{name: _typed(name, value, hints[name]) for name, value in given.items()})
    if "heartbeat_s" not in given:  # it goes with the lease
        shorter = max(BEATS * settings.lease_s, RANGES["heartbeat_s"][0])
        settings = replace(settings, heartbeat_s=min(settings.heartbeat_s, shorter))
    _require_usable(settings)
    return settings


def _tell_unknown(environ: Mapping[str, str], known: Set[str]) -> None:
    ours = {name for name in environ if name.startswith("POSTCOMMIT_") and not name.startswith(OF_TESTS)}
    if unknown := sorted(ours - known):
        print(f"The environment has unknown settings, which change nothing: {', '.join(unknown)}.", file=sys.stderr)


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
            return _number(value, kind)
        if kind is str:
            return str(value)
        if kind is bool:
            return _truth(value)
        return (
            tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else tuple(value)
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise BadSetting(f"The setting {name} should be {WORDS.get(kind, 'a list')}, and it is {value!r}.") from error


def _number(value: Any, kind: type[int] | type[float]) -> int | float:
    if isinstance(value, bool) or (kind is int and isinstance(value, float)):  # a file has types of its own
        raise TypeError("It is of another type.")
    return kind(value)


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if (found := TRUTH.get(str(value).lower())) is None:
        raise ValueError("It is neither.")
    return found


def _require_usable(settings: Settings) -> None:
    for name, schemes in SCHEMES.items():
        value = getattr(settings, name)
        each = addresses(value) if name == "nats" else [value]
        if not (all(_is_address(one, schemes) for one in each) or (name in MAY_BE_EMPTY and not value)):
            begins = " or ".join(f"{scheme}://" for scheme in schemes)
            raise BadSetting(
                f"The setting {name} should begin with {begins} and name a host, and it is {mask(value)!r}."
            )
    if len({_login(one) for one in addresses(settings.nats)}) > 1:  # servers that are discovered are told the same
        raise BadSetting(
            "The servers of the setting nats should be named with one user and password, "
            f"and it is {mask(settings.nats)!r}."
        )
    for name, (least, most) in RANGES.items():
        if not least <= (number := getattr(settings, name)) <= most:  # nor is nan
            raise BadSetting(f"The setting {name} should be from {least} to {most}, and it is {number}.")
    if settings.heartbeat_s > settings.lease_s / 2:
        raise BadSetting(
            f"The setting heartbeat_s should be at most half of lease_s, which is {settings.lease_s}, "
            f"and it is {settings.heartbeat_s}."
        )
    _require_webhook(settings)
    _require_media(settings)
    if not settings.key.isascii() or not settings.key.isprintable():
        raise BadSetting("The setting key should be printable ASCII, as `postcommit keys create` tells it.")
    if settings.log_level.lower() not in LEVELS:
        raise BadSetting(
            f"The setting log_level should be one of {', '.join(LEVELS)}, and it is {settings.log_level!r}."
        )


def _require_webhook(settings: Settings) -> None:
    if settings.webhook_url and (wrong := warehouse.flaw(settings.webhook_url, settings.webhook_private)):
        raise BadSetting(f"The setting webhook_url cannot be {mask(settings.webhook_url)!r}: {wrong}.")
    if settings.webhook_url and not SIGNING.fullmatch(settings.webhook_secret):
        raise BadSetting("The setting webhook_secret should be whsec_ and 24 to 64 bytes as base64.")


def _require_media(settings: Settings) -> None:
    for name in ("video_sides", "image_sides"):
        sides: Sequence[str] = getattr(settings, name) or ("",)
        if not all(side.isdecimal() and 2 <= int(side) <= 4_320 for side in sides):
            shown = ",".join(sides)
            raise BadSetting(f"The setting {name} should be numbers of pixels from 2 to 4320, and it is {shown!r}.")
    if settings.video_preset not in PRESETS:
        raise BadSetting(
            f"The setting video_preset should be one of {', '.join(PRESETS)}, and it is {settings.video_preset!r}."
        )


def _is_address(value: str, schemes: Sequence[str]) -> bool:
    try:
        parts = urlsplit(value)
        named = parts.hostname or (parts.netloc and "host=" in parts.query)  # a Postgres at a Unix socket
        return parts.scheme in schemes and bool(named) and parts.port != 0
    except ValueError:  # of the port, or of brackets that do not match
        return False


def _login(address: str) -> str:
    return urlsplit(address).netloc.rpartition("@")[0]


def masked(settings: Settings) -> dict[str, Any]:
    """The settings as a dictionary fit to be shown: passwords in addresses are replaced by ***."""
    shown = {f.name: getattr(settings, f.name) for f in fields(settings)}
    return {name: _shown(name, value) for name, value in shown.items()}


def _shown(name: str, value: Any) -> Any:
    if name in SECRETS:
        return "***" if value else ""
    return mask(value) if name in SCHEMES or name == "webhook_url" else value


def mask(address: str) -> str:
    """The address without what stands before its last @, but for the user's name, and without its query; several ones
    with commas between them each by itself.

    Whatever it is, what it calls a password is not shown."""
    each = addresses(address)
    if len({"@" in one for one in each}) == 1:
        return ",".join(_mask(one) for one in each)
    return _mask(address)  # it is no list: the comma stands in a password


def _mask(address: str) -> str:
    address = re.sub(r"(?i)(passw\w*[\"']?\s*[=:]\s*)('[^']*'|\"[^\"]*\"|[^\s&]+)", r"\1***", address)
    begin = re.match(r"[a-zA-Z+]+://", address)
    scheme = begin.group() if begin else ""
    before, at, after = address.removeprefix(scheme).rpartition("@")
    user, colon, _ = before.partition(":")
    host, question, _ = after.partition("?")
    shown = (f"{user}:***@" if colon else "***@") if at else ""
    return f"{scheme}{shown}{host}" + ("?***" if question else "")
