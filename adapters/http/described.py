"""What a route tells of itself beside its code: one value in its `opt`, out of which /openapi.json is made.

SEE = described("see_thing", "Things", {200: Reply(Thing, EXAMPLE, ["ETag"])}, takes=["If-None-Match"])

@get("/v1/things/{id:str}", opt=needs(Right.READ_THINGS) | SEE)
async def see(request: Call, id: FromPath[str]) -> Response[bytes]:
    \"\"\"A thing.\"\"\"
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from litestar.handlers import HTTPRouteHandler

from domain.kind import AnyKind

DESCRIBED = "described"
JSON = "application/json"
BYTES = "application/octet-stream"
Kinds = Mapping[str, AnyKind]


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer that is no problem: the type of its body, None for no body, and an example of it. Server-sent events
    of several types have a tuple of them.

    `headers` are always there and `may` sometimes; both are names out of `headers.ANSWERED`. `links` lead from this
    answer to other operations: their ids, each with a run-time expression (OpenAPI 3.1, 4.8.20.4) for its `{id}`.
    `also` are other media types of the same answer, each with an example as text."""

    shape: Any = None
    example: Any = None
    headers: Sequence[str] = ()
    may: Sequence[str] = ()
    links: Mapping[str, str] | None = None
    media_type: str = JSON
    also: Mapping[str, str] | None = None

    @property
    def shapes(self) -> tuple[Any, ...]:
        if self.shape is None:
            return ()
        return self.shape if isinstance(self.shape, tuple) else (self.shape,)


@dataclass(frozen=True, slots=True)
class Body:
    """What a request holds. `shape` is a type, or makes one of the kinds; `examples` likewise, by name.

    An `optional` body may be left out. Of another media type than JSON it is bytes, and `shape` is str."""

    shape: Any
    examples: Mapping[str, Any] | Callable[[Kinds], Mapping[str, Any]]
    optional: bool = False
    media_type: str = JSON


@dataclass(frozen=True, slots=True)
class Described:
    """A route as its callers know it. Its summary and description are its docstring, its parameters its signature.

    `id` is for programs and never changes. `takes` are headers of the request, names out of `headers.TAKEN`, those that
    are required with a `!` behind them; `problems` are slugs: both beyond those that follow from the rest, see
    `openapi.problems_of`."""

    id: str
    group: str
    replies: Mapping[int, Reply]
    body: Body | None = None
    takes: Sequence[str] = ()
    problems: Sequence[str] = ()


def described(
    id: str,
    group: str,
    replies: Mapping[int, Reply],
    body: Body | None = None,
    takes: Sequence[str] = (),
    problems: Sequence[str] = (),
) -> dict[str, Any]:
    """The `opt` of a route that tells of itself; see Described."""
    return {DESCRIBED: Described(id, group, replies, body, takes, problems)}


def description_of(handler: HTTPRouteHandler) -> Described:
    """Raises LookupError for a route without one."""
    found = handler.opt.get(DESCRIBED)
    if not isinstance(found, Described):
        raise LookupError(f"The route {', '.join(sorted(handler.paths))} does not say what it is: see described.py.")
    return found
