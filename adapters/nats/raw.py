"""Messages as the bytes of NATS's protocol, many in one go.

The driver looks at every header of every message by a regular expression, which takes longer than all else that is done
for a line of the log."""

from collections.abc import Mapping

from nats.aio.client import Client


def message(subject: str, headers: Mapping[str, str], payload: bytes) -> bytes:
    """A message without an answer. The subject and the headers are visible ASCII."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    head = f"NATS/1.0\r\n{lines}\r\n".encode()
    return b"HPUB %b %d %d\r\n%b%b\r\n" % (subject.encode(), len(head), len(head) + len(payload), head, payload)


async def send(client: Client, messages: bytes) -> None:
    """Hand them to the driver's buffer, from which they go out."""
    await client._send_command(messages)
    await client._flush_pending()
