"""The parameters of a route as OpenAPI tells of them, read from its signature."""

from collections.abc import Iterable, Iterator
from inspect import Parameter, signature
from typing import Any, get_args, get_origin, get_type_hints

from litestar.enums import ParamType
from litestar.handlers import HTTPRouteHandler
from litestar.params import ParameterKwarg

from adapters.http.headers import TAKEN
from adapters.http.replies import Node
from adapters.http.schemas import Schemas

LIMITS = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum"}
LIMITS |= {"min_length": "minLength", "max_length": "maxLength", "pattern": "pattern", "format": "format"}


def arguments(route: HTTPRouteHandler) -> Iterator[tuple[str, Any, ParamType | None, Parameter]]:
    """Its parameters: name, type, place, and the parameter itself."""
    hints = get_type_hints(route.fn, include_extras=True)
    for name, parameter in signature(route.fn).parameters.items():
        mark = _mark(hints[name])
        if mark is not None:
            yield name, hints[name], mark.param_type, parameter


def _mark(hint: Any) -> ParameterKwarg | None:
    return next((mark for mark in getattr(hint, "__metadata__", ()) if isinstance(mark, ParameterKwarg)), None)


def parameters(route: HTTPRouteHandler, schemas: Schemas) -> Iterator[Node]:
    for name, hint, place, parameter in arguments(route):
        mark, default = _mark(hint), parameter.default
        limits = {word: getattr(mark, own) for own, word in LIMITS.items() if getattr(mark, own) is not None}
        schema = schemas.taken(plain_type(hint)) | limits | ((mark.schema_extra if mark else None) or {})
        if place is ParamType.PATH:
            yield {"name": name, "in": "path", "required": True, "schema": _path_schema(name, schema)}
            continue
        schema |= {"default": default} if default is not None and default is not Parameter.empty else {}
        described = {"description": mark.description} if mark and mark.description else {}
        yield {"name": name, "in": "query", "required": default is Parameter.empty, "schema": schema} | described


def _path_schema(name: str, schema: Node) -> Node:
    return schema | ({"format": "uuid"} if name == "id" else {"minLength": 1})


def plain_type(hint: Any) -> Any:
    """The type without Litestar's mark, and without None: what is left out is not sent as null."""
    plain = get_args(hint)[0]
    members = [one for one in get_args(plain) if one is not type(None)]
    return members[0] if len(members) == 1 and get_origin(plain) not in (list, tuple, dict) else plain


def headers(names: Iterable[str]) -> Iterable[Node]:
    """Of a name that ends in `!` the header is required."""
    for name in names:
        known = TAKEN[name.rstrip("!")]
        yield {"name": name.rstrip("!"), "in": "header", "required": name.endswith("!")} | known
