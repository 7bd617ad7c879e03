"""What stands behind the question mark: parameters that there are, each given once, and none of them `null`."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_args

from litestar import Request
from litestar.enums import ParamType
from litestar.handlers.base import BaseRouteHandler
from litestar.params import ParameterKwarg

from adapters.http.auth import RIGHT
from adapters.http.problems import invalid
from adapters.http.shape import Flaw

MOST_TOLD = 64  # characters of an unknown name


def require_known(request: Request[Any, Any, Any]) -> None:
    """A filter with a slip in its name must not answer with everything, as if it were not there.

    Raises Problem. Routes without a right take whatever comes: what asks them adds parameters of its own."""
    asked = request.scope["query_string"] and RIGHT in request.route_handler.opt
    if asked and (found := list(_wrong(request, _known(request.route_handler)))):
        raise invalid(found)


def _wrong(request: Request[Any, Any, Any], known: Mapping[str, tuple[str, bool, bool]]) -> Iterator[Flaw]:
    seen: set[str] = set()
    for name, value in request.query_params.multi_items():
        if name not in known:
            here = f"known are {', '.join(sorted(known))}" if known else "there are none"
            yield {"parameter": name[:MOST_TOLD], "detail": f"It is unknown here; {here}"}
            continue
        expected, is_text, is_list = known[name]
        if name in seen and not is_list:
            yield {"parameter": name, "detail": "Expected it once"}
        elif not is_text and str(value).lower() == "null":  # msgspec takes this for None, which nobody can have meant
            yield {"parameter": name, "detail": f"Expected {expected}"}
        seen.add(name)


@cache
def _known(handler: BaseRouteHandler) -> dict[str, tuple[str, bool, bool]]:
    """What is expected of each parameter, whether it is any text, and whether it may be given often."""
    return {
        field.name: (definition.description or "text", _is_text(field.annotation), field.is_non_string_sequence)
        for field in handler.parsed_fn_signature.parameters.values()
        if isinstance(definition := field.kwarg_definition, ParameterKwarg) and definition.param_type is ParamType.QUERY
    }


def _is_text(hint: Any) -> bool:
    return str in (hint, *get_args(hint))
