"""The methods that follow from others: whatever answers GET answers HEAD, and OPTIONS tells of all (RFC 9110 9.3)."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from litestar import Request, Response, route
from litestar.handlers import HTTPRouteHandler

OPTIONS = "options"
"""In the `opt` of a route: headers that OPTIONS of its path tells besides."""

get = partial(route, http_method=["GET", "HEAD"])
"""A route that is read. HEAD is answered like GET: it is the server that leaves the body out."""


def options(handlers: Sequence[HTTPRouteHandler]) -> HTTPRouteHandler:
    """OPTIONS for all their paths, to be registered first: Litestar's own tells of the first handler of a path only."""

    async def allow(request: Request[Any, Any, Any]) -> Response[bytes]:
        here = request.scope["path_template"]
        methods = {name for route in request.app.routes if route.path_format == here for name in route.methods}
        return Response(b"", status_code=204, headers={"Allow": ", ".join(sorted(methods))} | more.get(here, {}))

    more = {path: told for one in handlers if (told := one.opt.get(OPTIONS)) for path in one.paths}
    return route(sorted({path for handler in handlers for path in handler.paths}), http_method="OPTIONS")(allow)
