"""The durables of registered consumers: one each, made and kept by the relay, used by a foreign program."""

from dataclasses import dataclass
from typing import Any

from nats.aio.client import Client

from adapters.nats import consumers
from adapters.nats.api import NO_CONSUMER, NO_STREAM, ApiError, call
from adapters.nats.names import STREAM, consumer

ACK_WAIT_S = 30


@dataclass(frozen=True, slots=True)
class Durable:
    """As it stands on the server; `reached` is the position up to which everything was acknowledged, `delivered` the
    last one that was handed out."""

    filter: str
    reached: int
    delivered: int


async def find(client: Client, name: str) -> Durable | None:
    """The consumer's durable; None where there is none. One of another make (it pushes, say) is none of ours."""
    try:
        info = await call(client, f"CONSUMER.INFO.{STREAM}.{consumer(name)}")
    except ApiError as error:
        if error.code in (NO_CONSUMER, NO_STREAM):
            return None
        raise
    config = info["config"]
    filter = config.get("filter_subject", "")
    ours = all(config.get(key) == value for key, value in _config(name, filter).items())
    filter = filter if ours and "deliver_subject" not in config else ""
    return Durable(filter, int(info["ack_floor"]["stream_seq"]), int(info["delivered"]["stream_seq"]))


async def make(client: Client, name: str, filter: str, start: int) -> None:
    """Make the durable, anew: its first message has the position `start` or a later one."""
    await drop(client, name)
    wanted = _config(name, filter) | {"deliver_policy": "by_start_sequence", "opt_start_seq": start}
    await call(client, f"CONSUMER.DURABLE.CREATE.{STREAM}.{consumer(name)}", {"stream_name": STREAM, "config": wanted})


async def drop(client: Client, name: str) -> None:
    """Delete the durable; nothing happens where there is none."""
    await consumers.drop(client, consumer(name))


def _config(name: str, filter: str) -> dict[str, Any]:
    return {
        "durable_name": consumer(name),
        "filter_subject": filter,
        "ack_policy": "explicit",
        "ack_wait": int(ACK_WAIT_S * 1e9),
        "max_deliver": -1,  # whoever cannot take a message gets it again, until he can
        "max_ack_pending": 1_000,
    }
