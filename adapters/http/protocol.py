"""HTTP/1.1 as uvicorn speaks it; what is no request, or too large a one, is told as a problem document, too."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from adapters.http.problems import MEDIA_TYPE, Problem, document

KIB = 1024
LINGER_S = 2.0  # for which a connection is read that was answered before its request was complete
MOST_ADDRESS = 16 * KIB
MOST_HEADERS = 100
MOST_HEAD = 64 * KIB
REFUSED = {
    "bad-request": "This is no request of HTTP/1.1 (RFC 9112).",
    "address-too-long": f"An address has at most {MOST_ADDRESS} bytes.",
    "head-too-large": f"A request has at most {MOST_HEADERS} headers, of at most {MOST_HEAD} bytes.",
}


class Joined:
    """A transport that sends the head of an answer together with the first of its body: uvicorn writes each by itself,
    which costs a call to the system and a packet more.

    Where the sender is still `heard` when it is closed, that takes two steps (RFC 9112 9.6): a socket with unread bytes
    would reset the connection, and he would lose the answer that tells him why."""

    def __init__(self, transport: asyncio.Transport, heard: Callable[[], bool]) -> None:
        self._transport, self._head, self._heard = transport, b"", heard
        self.write_on = transport.write
        self.leaving = False

    def write(self, data: bytes) -> None:
        if self.is_closing():  # nobody hears it any more
            return
        if self._head:
            head, self._head = self._head, b""
            self.write_on(head + data)
        elif data.startswith(b"HTTP/1.1 "):
            self._head = data
            asyncio.get_running_loop().call_soon(self._send)  # where the body is late
        else:
            self.write_on(data)

    def _send(self) -> None:
        if self._head and not self.is_closing():
            head, self._head = self._head, b""
            self.write_on(head)

    def close(self) -> None:
        self._send()
        if self.leaving or self._transport.is_closing() or not self._heard():
            self._transport.close()
            return
        self.leaving = True
        self._transport.write_eof()
        self._transport.resume_reading()
        asyncio.get_running_loop().call_later(LINGER_S, self._transport.abort)  # also where nobody reads the answer

    def is_closing(self) -> bool:
        return self.leaving or self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._refused = "bad-request"
        self._in_head = self._broken = False
        self._head_bytes = self._came_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Joined(transport, self._has_more))  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():  # what he still says is not heard
            return
        self._came_bytes = len(data)
        super().data_received(data)
        self._head_bytes += self._came_bytes
        too_long = self._in_head and self._head_bytes > MOST_ADDRESS + MOST_HEAD
        if too_long and not self.transport.is_closing():
            self._refused = self._excess() or "head-too-large"
            self.send_400_response("It does not end.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # what comes behind the body is no header (RFC 9110 6.5.1)
            super().on_header(name, value)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._came_bytes = 0  # what came with the end of one message is not counted to the next

    def on_headers_complete(self) -> None:
        self._in_head = False
        if (excess := self._excess()) is not None:
            self._refused = excess
            raise ValueError(REFUSED[excess])
        super().on_headers_complete()

    def _has_more(self) -> bool:
        """Whether the sender is in the middle of what he says."""
        return self._in_head or self._broken or (self.cycle is not None and self.cycle.more_body)

    def _excess(self) -> str | None:
        if len(self.url) > MOST_ADDRESS:
            return "address-too-long"
        size_bytes = sum(len(name) + len(value) for name, value in self.headers)
        return "head-too-large" if len(self.headers) > MOST_HEADERS or size_bytes > MOST_HEAD else None

    def send_400_response(self, msg: str) -> None:
        """Tell why, and close. Only close where that would be taken for the answer to an earlier request."""
        self._broken = True
        if not self._owes_another():
            self.transport.write(answer(Problem(self._refused, REFUSED[self._refused])))
        self.transport.close()

    def _owes_another(self) -> bool:
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return False
        return cycle.response_started or not cycle.more_body or bool(self.pipeline)


def answer(problem: Problem) -> bytes:
    """A whole answer, of a request that never came to the application."""
    id = str(uuid4())
    status, headers, body = document(problem, id)
    headers |= {"x-request-id": id, "x-content-type-options": "nosniff", "connection": "close"}
    headers |= {"content-type": MEDIA_TYPE, "content-length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return STATUS_LINE[status] + head.encode() + b"\r\n" + body
