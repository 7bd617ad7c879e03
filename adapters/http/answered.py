"""One line in the log for each answer, and the request's id in every line that is written on the way to it."""

import time

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from adapters.http.origin import request_id

logger = structlog.get_logger()
QUIET = frozenset({"/livez", "/readyz", "/metrics"})  # asked all the time


def logged(app: ASGIApp) -> ASGIApp:
    """The application; who asks is told by the key's name, and nothing of what was asked."""

    async def log(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        begin, status = time.perf_counter(), 0

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id(scope)):
            await app(scope, receive, told)
            route = scope.get("path_template")
            if route not in QUIET:
                say = logger.warning if status >= 500 else logger.debug
                key = getattr(scope.get("user"), "name", None)
                seconds = round(time.perf_counter() - begin, 4)
                say("http.answered", method=scope["method"], route=route, status=status, seconds=seconds, key=key)

    return log
