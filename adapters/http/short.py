"""The short way to the handlers that take nothing but a POST, at addresses without parameters: to all that creates.

Litestar finds a handler anew for every request, looks for arguments, dependencies, a cache and hooks, and finds none:
that takes longer than the handler. All else goes Litestar's way, and so do other methods at the same addresses."""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Litestar, Request, Response
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Receive, Send

Admit = Callable[[Request[Any, Any, Any]], Awaitable[None]]
Tell = Callable[[Request[Any, Any, Any], Exception], Response[bytes]]


def short(app: Litestar, admit: Admit, tell: Tell) -> ASGIApp:
    """The application's own handler, with a short way beside it: behind `admit`, and what is raised told by `tell`."""
    long, known = app.asgi_handler, _known(app)

    async def answer(scope: Any, receive: Receive, send: Send) -> None:
        handler = known.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if handler is None:
            await long(scope, receive, send)
            return
        scope["route_handler"], scope["path_template"] = handler, scope["path"]
        request: Request[Any, Any, Any] = Request(scope, receive, send)
        try:
            await admit(request)
            response = await handler.fn(request)
        except Exception as error:
            response = tell(request, error)
        await response.to_asgi_response(app=None, request=request)(scope, receive, send)

    return answer


def _known(app: Litestar) -> dict[str, HTTPRouteHandler]:
    posts = {
        route.path: route.route_handler_map["POST"][0]
        for route in app.routes
        if isinstance(route, HTTPRoute) and "POST" in route.route_handler_map and not route.path_parameters
    }
    return {path: one for path, one in posts.items() if [*one.parsed_fn_signature.parameters] == ["request"]}
