"""Around every request: its id in the answer and in every line of the log that is written on the way, and the answer
counted and logged."""

import time
from collections.abc import Callable
from typing import Any

import structlog
from litestar.types import ASGIApp, Message, Receive, Send

from adapters.http.origin import request_id

logger = structlog.get_logger()
QUIET = frozenset({"/livez", "/readyz", "/metrics"})  # asked all the time
Count = Callable[[str, str | None, int, float], None]
"""Counts an answer: method, route (None: there is none), status, and the seconds until it began."""


def answered(app: ASGIApp, count: Count) -> ASGIApp:
    """The application; who asks is told by the key's name, and nothing of what was asked."""

    async def answer(scope: Any, receive: Receive, send: Send) -> None:
        begin, status, id = time.perf_counter(), 0, request_id(scope)

        async def tell(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                count(scope["method"], scope.get("path_template"), status, time.perf_counter() - begin)
                told = ((b"x-request-id", id.encode()), (b"x-content-type-options", b"nosniff"))
                message["headers"] = [*message["headers"], *told]
            await send(message)

        structlog.contextvars.bind_contextvars(request_id=id)  # in a context that ends with the request
        await app(scope, receive, tell)
        route = scope.get("path_template")
        if route not in QUIET:
            say = logger.warning if status >= 500 else logger.debug
            key = getattr(scope.get("user"), "name", None)
            seconds = round(time.perf_counter() - begin, 4)
            say("http.answered", method=scope["method"], route=route, status=status, seconds=seconds, key=key)

    return answer
