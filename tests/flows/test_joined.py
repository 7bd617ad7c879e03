"""The head of an answer leaves with the first of its body, and never waits for a body that is late."""

import asyncio
from typing import Any, cast

from adapters.http.protocol import Joined

HEAD, BODY = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", b"{}"


class Wire:
    """What was written, call by call."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.written.append(b"closed")

    def is_closing(self) -> bool:
        return False


def _joined(wire: Wire) -> Any:
    """The sender has said all that he had to say."""
    return Joined(cast(asyncio.Transport, wire), lambda: False)


async def test_head_and_body_are_one_write_and_later_parts_follow_at_once() -> None:
    wire = Wire()
    joined = _joined(wire)
    joined.write(HEAD)
    joined.write(BODY)
    joined.write(b"more")
    joined.write(HEAD)
    joined.write(HEAD + BODY)  # a body may look like a head
    await asyncio.sleep(0)
    assert wire.written == [HEAD + BODY, b"more", HEAD + HEAD + BODY]


async def test_a_head_without_a_body_leaves_in_the_same_turn_of_the_loop() -> None:
    wire = Wire()
    joined = _joined(wire)
    joined.write(HEAD)
    assert wire.written == []
    await asyncio.sleep(0)
    joined.write(BODY)
    assert wire.written == [HEAD, BODY]


async def test_what_is_held_leaves_before_the_connection_is_closed() -> None:
    wire = Wire()
    joined = _joined(wire)
    joined.write(HEAD)
    joined.close()
    await asyncio.sleep(0)
    assert wire.written == [HEAD, b"closed"]
    assert joined.is_closing() is False
