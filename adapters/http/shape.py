"""Whether a value has the shape of a record; and if not, everything that is wrong with it."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

Flaw = dict[str, str]  # {"pointer": "/request/work_s" (RFC 6901), "detail": "Expected `float`, got `str`"}
STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]|(\[\.\.\.\])")


def flaws(value: Any, shape: type[msgspec.Struct], at: str = "") -> list[Flaw]:
    """What keeps the value (decoded JSON) from being of this shape: every wrong field, one flaw each.

    `at` is the pointer to the value itself."""
    try:
        msgspec.convert(value, shape)
    except (msgspec.ValidationError, ValueError, OverflowError):
        return _all(value, shape, at)
    return []


def flaw(pointer: str, detail: str) -> Flaw:
    return {"pointer": pointer, "detail": detail}


def step(name: str | int) -> str:
    """One step of a JSON pointer."""
    return "/" + str(name).replace("~", "~0").replace("/", "~1")


def _all(value: Any, shape: type[msgspec.Struct], at: str) -> list[Flaw]:
    if not isinstance(value, dict):
        return [flaw(at, f"Expected an object, got {_name(value)}")]
    known = _fields(shape)
    found = [flaw(at + step(name), f"There is no field {name[:64]!r} here") for name in value if name not in known]
    found += [
        flaw(at + step(name), f"The field {name!r} is missing")
        for name, field in known.items()
        if field.required and name not in value
    ]
    for name, field in known.items():
        if name in value and (one := _wrong(value[name], field.type, at + step(name))):
            found.append(one)
    return found


def _wrong(value: Any, kind: Any, at: str) -> Flaw | None:
    try:
        msgspec.convert(value, kind)
    except (msgspec.ValidationError, ValueError, OverflowError) as error:
        detail, _, path = str(error).partition(" - at `$")
        return flaw(at + _pointer(path.rstrip("`")), detail if path else _wanted(kind) or detail)
    return None


def _wanted(kind: Any) -> str | None:
    """What a field's type says of itself, which is more than that its pattern does not match."""
    marks = (getattr(mark, "description", None) for mark in getattr(kind, "__metadata__", ()))
    return next((f"Expected {mark}" for mark in marks if mark), None)


def _pointer(path: str) -> str:
    """msgspec's path as a pointer, as far as it is known: it does not name the keys of a mapping."""
    pointer = ""
    for name, index, unknown in STEP.findall(path):
        if unknown:
            break
        pointer += step(name or index)
    return pointer


@cache
def _fields(shape: type[msgspec.Struct]) -> Mapping[str, Any]:
    return {field.encode_name: field for field in msgspec.structs.fields(shape)}


def _name(value: Any) -> str:
    names = {type(None): "null", bool: "a boolean", str: "a string", list: "a list", int: "a number", float: "a number"}
    return names.get(type(value), type(value).__name__)
