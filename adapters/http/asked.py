"""The bodies that ask for tasks, as types: one for every kind, told apart by `kind`."""

from functools import cache, reduce
from operator import or_
from typing import Annotated, Any

import msgspec

from adapters.http.described import Kinds
from adapters.http.schemas import sample
from adapters.http.wish import MOST_WISHES, Body
from domain.kind import AnyKind


def one(kinds: Kinds) -> Any:
    """A union of structs, each with the request of its kind."""
    return reduce(or_, (_asked(kind) for kind in kinds.values()))


def many(kinds: Kinds) -> Any:
    item = one(kinds)
    return Annotated[list[item], msgspec.Meta(min_length=1, max_length=MOST_WISHES)]  # type: ignore[valid-type]


def example_of_one(kinds: Kinds) -> dict[str, Any]:
    """The smallest body of every kind."""
    return {kind.name: {"kind": kind.name, "request": _sample(kind)} for kind in kinds.values()}


def example_of_many(kinds: Kinds) -> dict[str, Any]:
    return {"one_of_each": list(example_of_one(kinds).values())}


@cache
def _asked(kind: AnyKind) -> type[msgspec.Struct]:
    name = "".join(part.capitalize() for part in kind.name.replace("-", "_").split("_"))
    request = msgspec.defstruct(f"{name}Request", [], bases=(kind.request,), frozen=True, kw_only=True)
    fields: list[tuple[str, Any, Any]] = [("request", request, msgspec.NODEFAULT)]
    fields += [
        (field.name, field.type, _default(field))
        for field in msgspec.structs.fields(Body)
        if field.name not in ("kind", "request")
    ]
    return msgspec.defstruct(
        f"{name}Task", fields, tag_field="kind", tag=kind.name, forbid_unknown_fields=True, kw_only=True
    )


def _default(field: msgspec.structs.FieldInfo) -> Any:
    made = field.default_factory
    return field.default if made is msgspec.NODEFAULT else msgspec.field(default_factory=made)


def _sample(kind: AnyKind) -> Any:
    (schema,), components = msgspec.json.schema_components([kind.request], ref_template="#/components/schemas/{name}")
    return sample(schema, components)
