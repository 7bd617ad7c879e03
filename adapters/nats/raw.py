"""Messages as the bytes of NATS's protocol: many written in one go, each read as it comes off the wire.

The driver looks at every header of every message by a regular expression, and hands each on through a queue and a task,
which takes longer than all else that is done for a line of the log, or for a bell."""

from collections.abc import Callable, Mapping
from weakref import WeakKeyDictionary

from nats.aio.client import Client
from nats.aio.subscription import Subscription

Hear = Callable[[bytes, bytes, bytes, bytes], None]
"""Takes a message: subject, reply, headers, payload. It must not raise."""
_HEARING: "WeakKeyDictionary[Client, dict[int, Hear]]" = WeakKeyDictionary()


def message(subject: str, headers: Mapping[str, str], payload: bytes) -> bytes:
    """A message without an answer. The subject and the headers are visible ASCII."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    head = f"NATS/1.0\r\n{lines}\r\n".encode()
    return b"HPUB %b %d %d\r\n%b%b\r\n" % (subject.encode(), len(head), len(head) + len(payload), head, payload)


async def send(client: Client, messages: bytes) -> None:
    """Hand them to the driver's buffer, from which they go out."""
    await client._send_command(messages)
    await client._flush_pending()


async def receive(client: Client, subject: str, hear: Hear) -> Subscription:
    """Subscribe, also after every reconnection; `hear` is called as soon as a message is there."""
    subscription = await client.subscribe(subject, cb=_unheard)
    _hearing(client)[subscription._id] = hear
    return subscription


async def _unheard(_: object) -> None:
    """What came before `hear` was in its place: nothing was asked for yet."""


def _hearing(client: Client) -> dict[int, Hear]:
    """Who hears which subscription of the client; what is nobody's goes the driver's own way."""
    if (known := _HEARING.get(client)) is not None:
        return known
    hearing = _HEARING[client] = {}
    others = client._process_msg

    async def process(sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        if (hear := hearing.get(sid)) is not None:
            hear(subject, reply, headers or b"", data)
        else:
            await others(sid, subject, reply, data, headers)  # type: ignore[arg-type]  # the driver's own parser gives None

    client._process_msg = process  # type: ignore[method-assign]
    return hearing


def header(headers: bytes, name: bytes) -> bytes:
    """The header's value, empty where there is none; its name as it was written."""
    return headers.partition(b"\r\n" + name + b":")[2].partition(b"\r\n")[0].strip()
