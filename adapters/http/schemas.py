"""JSON Schemas (2020-12) of what the API takes and gives, made of its types."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

Schema = dict[str, Any]
AT = "#/components/schemas/"


class Schemas:
    """The schemas of all types that a document names, and the components that these share.

    What is taken is strict. What is given has every field, and callers are to expect new ones."""

    def __init__(self, taken: Sequence[Any], given: Sequence[Any]) -> None:
        of_taken, strict = _components(taken)
        of_given, loose = _components(given)
        loose = {name: _given(schema) for name, schema in loose.items()}
        others = {name: f"{name}Shown" for name in loose if strict.get(name, loose[name]) != loose[name]}
        self.components = strict | {others.get(name, name): _renamed(one, others) for name, one in loose.items()}
        self._taken = list(zip(taken, of_taken, strict=True))
        self._given = [(shape, _renamed(one, others)) for shape, one in zip(given, of_given, strict=True)]

    def taken(self, shape: Any) -> Schema:
        return next(schema for known, schema in self._taken if known == shape)

    def given(self, shape: Any) -> Schema:
        return next(schema for known, schema in self._given if known == shape)


def _components(shapes: Sequence[Any]) -> tuple[Sequence[Schema], dict[str, Schema]]:
    schemas, components = msgspec.json.schema_components(shapes, ref_template=AT + "{name}")
    return [_tidy(one) for one in schemas], {_short(name): _tidy(one) for name, one in components.items()}


def _short(name: str) -> str:
    """Where two types have one name, msgspec tells their modules, too: domain.audit.Line is called AuditLine."""
    *_, module, own = ["", *re.split(r"[._]", name)]
    return module.capitalize() + own


def _tidy(schema: Any) -> Any:
    """Short names, `oneOf` where a field decides, and times as such: what is called `at` or `…_at` is one."""

    def change(one: Schema) -> Schema:
        if "discriminator" in one and "anyOf" in one:
            one = {"oneOf" if key == "anyOf" else key: value for key, value in one.items()}
        if "$ref" in one:
            one = one | {"$ref": AT + _short(one["$ref"].removeprefix(AT))}
        if isinstance(fields := one.get("properties"), dict):
            one = one | {"properties": {name: _timed(name, field) for name, field in fields.items()}}
        return {key: value for key, value in one.items() if key != "title" or not isinstance(value, str)}

    return _walked(schema, change)


def _timed(name: str, field: Schema) -> Schema:
    """msgspec tells of times as of any text, where their type does not ask for an offset."""
    if name != "at" and not name.endswith("_at"):
        return field
    timed = _walked(field, lambda one: one | {"format": "date-time"} if one.get("type") == "string" else one)
    return dict(timed)


def _given(schema: Schema) -> Schema:
    def change(one: Schema) -> Schema:
        if one.get("type") == "object" and "properties" in one:
            one = {key: value for key, value in one.items() if key != "additionalProperties"}
            one |= {"required": list(one["properties"])}
        return one

    return dict(_walked(schema, change))


def _renamed(schema: Any, names: Mapping[str, str]) -> Any:
    def change(one: Schema) -> Schema:
        name = str(one.get("$ref", "")).removeprefix(AT)
        return one | {"$ref": AT + names[name]} if name in names else one

    return _walked(schema, change)


def _walked(value: Any, change: Callable[[Schema], Schema]) -> Any:
    if isinstance(value, list):
        return [_walked(one, change) for one in value]
    if isinstance(value, dict):
        return change({key: _walked(one, change) for key, one in value.items()})
    return value


def sample(schema: Schema, components: Mapping[str, Schema]) -> Any:
    """The smallest value of a schema as msgspec makes them: what a kind's request may look like.

    Raises LookupError for text with a pattern and without `examples` in its type."""
    if "$ref" in schema:
        return sample(components[schema["$ref"].removeprefix(AT)], components)
    for word in ("const", "default"):
        if word in schema:
            return schema[word]
    for word in ("examples", "enum", "oneOf", "anyOf"):
        if word in schema:
            first = schema[word][0]
            return sample(first, components) if word in ("oneOf", "anyOf") else first
    match schema.get("type"):
        case "object":
            return dict(_fields(schema, components))
        case "array":
            return [sample(schema["items"], components) for _ in range(schema.get("minItems", 0))]
        case "string":
            return _text(schema)
        case "integer" | "number":
            return schema.get("minimum", schema.get("exclusiveMinimum", 0) + ("exclusiveMinimum" in schema))
        case "boolean":
            return False
        case _:
            return None


def _fields(schema: Schema, components: Mapping[str, Schema]) -> Iterator[tuple[str, Any]]:
    for name in schema.get("required", ()):
        yield name, sample(schema["properties"][name], components)


def _text(schema: Schema) -> str:
    match schema.get("format"):
        case "uuid":
            return "01943a5e-1c00-7a10-8000-00000000a001"
        case "date-time":
            return "2030-01-31T12:00:00Z"
    if "pattern" in schema:
        raise LookupError(f"A text with the pattern {schema['pattern']} needs `examples` in its msgspec.Meta.")
    shortest: int = schema.get("minLength", 1)
    return "x" * max(1, shortest)
