"""What the doctor asks NATS. Without it work goes on, and only subscribers wait."""

from collections.abc import AsyncIterator
from pathlib import Path

from nats.aio.client import Client

from adapters.nats.api import NO_STREAM, ApiError, NoAnswer, call
from adapters.nats.names import STREAM
from adapters.nats.stream import Limits, config_of
from infra import asking
from infra.doctor.finding import Finding, failed, ok, unknown, warning
from infra.exits import Stop
from infra.roles.role import OLDEST_NATS

ANSWER_S = 2.0


async def examined(url: str, limits: Limits | None, conf: Path | None) -> AsyncIterator[Finding]:
    """`limits` are those of the settings, None where others are in force; `conf` is the server's file, if known."""
    try:
        async with asking.nats(url) as client:
            version = client.connected_server_version
            name = f"{version.major}.{version.minor}.{version.patch}"
            if (version.major, version.minor) < OLDEST_NATS:
                yield failed(
                    "nats", f"NATS has version {name}.", "Upgrade it to 2.14 or newer: the roles refuse this one."
                )
                return
            yield ok("nats", f"NATS {name} answers.")
            yield await stream(client, limits)
    except Stop as stop:
        yield failed("nats", str(stop), "See that NATS runs, and lets this user in; meanwhile work goes on by polling.")
        return
    yield sync(conf)


async def stream(client: Client, limits: Limits | None) -> Finding:
    try:
        info = await call(client, f"STREAM.INFO.{STREAM}", timeout=ANSWER_S)
    except NoAnswer:
        return unknown("stream", "This user may not ask about the stream LOG.", "Ask as the user of the relay.")
    except ApiError as error:
        advice = "A leading relay makes it within seconds: see that one runs, and read what it says."
        found = "There is no stream LOG." if error.code == NO_STREAM else str(error)
        return failed("stream", found, advice)
    wanted = config_of(limits or Limits(0, 0.0))
    if limits is None:
        wanted = {name: value for name, value in wanted.items() if name not in OF_LIMITS}
    config, state = info["config"], info["state"]
    if other := sorted(name for name, value in wanted.items() if config.get(name) != value):
        found = "The stream LOG has other settings than it should: "
        found += ", ".join(f"{name} is {config.get(name)}, not {wanted[name]}" for name in other) + "."
        return warning(
            "stream", found, "The leading relay sets them when it starts; give it the same settings as here."
        )
    return ok("stream", f"The stream LOG holds {state['messages']} messages, and ends at {state['last_seq']}.")


OF_LIMITS = ("max_bytes", "max_age", "num_replicas", "duplicate_window")


def sync(conf: Path | None) -> Finding:
    """Whether a power cut could empty the stream. A server does not tell that to ordinary users."""
    advice = (
        "Set `jetstream { sync_interval: always }`: a power cut can empty the stream, and the relay fills it again."
    )
    if conf is None:
        return unknown("sync_interval", "NATS does not say how often it writes to its disk.", advice)
    if "sync_interval: always" in conf.read_text():
        return ok("sync_interval", "NATS writes every message to its disk before it says so.")
    return warning("sync_interval", f"The file {conf} has no `sync_interval: always`.", advice)
