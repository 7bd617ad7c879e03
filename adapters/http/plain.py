"""An answer of which all is known: status, headers, and bytes. It is sent as it is, past all that Litestar does to find
out the same."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from litestar import Response
from litestar.types import ASGIApp, Receive


class Plain(Response[bytes]):
    """For handlers; `headers` may be added to until the answer is sent."""

    def __init__(self, body: bytes, status: int, headers: Mapping[str, str], media_type: str) -> None:
        self.content, self.status_code, self.media_type = body, status, media_type
        self.headers = {**headers}

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIApp:  # type: ignore[override]
        return self._send

    async def _send(self, scope: Any, _: Receive, send: Callable[[Any], Awaitable[None]]) -> None:
        told = dict(self.headers)
        if self.status_code != 204:  # that has no body, nor says how long it is (RFC 9110 8.6)
            told = {"content-type": self.media_type, "content-length": str(len(self.content))} | told
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in told.items()]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else self.content
        await send({"type": "http.response.body", "body": body, "more_body": False})
