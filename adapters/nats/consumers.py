"""The durable consumers of the workers: one a queue. Made and compared by the relay, never by a worker."""

from collections.abc import Awaitable, Callable
from typing import Any

from nats.aio.client import Client

from adapters.nats.api import NO_CONSUMER, NO_STREAM, ApiError, call
from adapters.nats.names import STREAM, durable, queued

ACK_WAIT_S = 30


async def delivered(client: Client, queue: str) -> int | None:
    """The position up to which the queue's consumer has delivered; None where there is no such consumer."""
    info = await _info(client, queue)
    return None if info is None else _delivered(info)


async def ensure(client: Client, queue: str, start: Callable[[], Awaitable[int]], furthest: int = 0) -> bool:
    """Make the queue's durable, or bring its settings up to date; `start` answers with the first position of a new one.

    One that went back is made anew: it would ring again for all that was filled in since. Of itself a durable goes
    back where an old copy of the stream was put back, and in a server that restarts while the stream is filled again:
    where it is to begin beyond the stream's end, it then begins at that end. `furthest` is a position that it is known
    to have reached. Answers whether it was made."""
    wanted = _config(queue)
    info = await _info(client, queue)
    if info is not None and _delivered(info) < max(furthest, info["config"].get("opt_start_seq", 1) - 1):
        await drop(client, durable(queue))
        info = None
    if info is None:
        wanted |= {"deliver_policy": "by_start_sequence", "opt_start_seq": max(await start(), 1)}
    elif all(info["config"].get(name) == value for name, value in wanted.items()):
        return False
    else:
        kept = ("deliver_policy", "opt_start_seq")  # these cannot change
        wanted |= {name: info["config"][name] for name in kept if name in info["config"]}
    await call(client, f"CONSUMER.DURABLE.CREATE.{STREAM}.{durable(queue)}", {"stream_name": STREAM, "config": wanted})
    return info is None


async def drop(client: Client, name: str) -> None:
    """Delete the durable of this name; nothing happens where there is none."""
    try:
        await call(client, f"CONSUMER.DELETE.{STREAM}.{name}")
    except ApiError as error:
        if error.code not in (NO_CONSUMER, NO_STREAM):
            raise


def _delivered(info: Any) -> int:
    return int(info["delivered"]["stream_seq"])


async def _info(client: Client, queue: str) -> Any:
    try:
        return await call(client, f"CONSUMER.INFO.{STREAM}.{durable(queue)}")
    except ApiError as error:
        if error.code in (NO_CONSUMER, NO_STREAM):
            return None
        raise


def _config(queue: str) -> dict[str, Any]:
    return {
        "durable_name": durable(queue),
        "filter_subject": queued(queue),
        "ack_policy": "explicit",
        "ack_wait": int(ACK_WAIT_S * 1e9),
        "max_deliver": -1,  # attempts are counted in Postgres
        "max_ack_pending": 10_000,
    }
