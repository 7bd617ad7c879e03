"""The JSON Schema of an event as its message has it: without what is personal, and open for fields of the future."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec.inspect import DateTimeType, Field, StructType, type_info

from domain import catalogue
from domain.cloudevents import schema_path
from domain.record import personal_fields

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
DEFS = "#/$defs/"
WORDS = frozenset({"title", "description", "$id", "$schema", "examples"})  # they say something, and demand nothing


def of_event(name: str) -> Schema:
    """The schema of the newest version of the event."""
    kind = catalogue.TYPES[name]
    _, components = msgspec.json.schema_components([kind], ref_template=f"{DEFS}{{name}}")
    for struct in _structs(kind):
        _leave_out(components[struct.__name__], personal_fields(struct))
        _tell_times(components[struct.__name__], struct)
    whole = _open(components.pop(kind.__name__))
    told = {"$schema": DIALECT, "$id": schema_path(name, catalogue.version_of(name))} | whole
    told["title"] = f"{name}.v{catalogue.version_of(name)}"
    return told | ({"$defs": {part: _open(schema) for part, schema in components.items()}} if components else {})


def breaks(published: Any, made: Any, at: str = "") -> list[str]:
    """What a reader of the published schema would stumble over in messages of the one that was made.

    Fields may be added where they are optional, and words may change; nothing else."""
    if not isinstance(published, dict) or not isinstance(made, dict):
        return [] if published == made else [f"{at or '/'} was {published!r}, and is {made!r}"]
    found: list[str] = []
    for key in sorted((published.keys() | made.keys()) - WORDS):
        here = f"{at}/{key}"
        if key in ("properties", "$defs"):
            old, new = published.get(key, {}), made.get(key, {})
            found += [f"{here}/{name} is gone" for name in sorted(old.keys() - new.keys())]
            for name in sorted(old.keys() & new.keys()):
                found += breaks(old[name], new[name], f"{here}/{name}")
        elif key == "required":
            old, new = set(published.get(key, ())), set(made.get(key, ()))
            found += [f"{here}: {name} was {'' if name in old else 'not '}required" for name in sorted(old ^ new)]
        elif key not in published or key not in made:
            found.append(f"{here} {'is new' if key in made else 'is gone'}")
        else:
            found += breaks(published[key], made[key], here)
    return found


SAMPLES: Mapping[str, Any] = {
    "kind": "email_welcome",
    "queue": "default",
    "by": "client",
    "worker": "worker-host-17",
    "type": "TimeoutError",
    "detail": "The mail server did not answer.",
    "reason": "ordered twice",
    "unit": "pages",
    "note": "page 3 of 10",
    "done": 3,
    "total": 10,
    "max_attempts": 5,
    "currency": "EUR",
    "price_cents": 1250,
    "total_cents": 1250,
    "name": "Teapot",
    "description": "It holds a litre.",
    "filter": "events.v1.order.>",
    "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "size_bytes": 5_000_000,
    "purpose": "file",
    "filename": "film.mp4",
    "filetype": "video/mp4",
    "container": "mov",
    "duration_s": 59.9,
    "width": 1280,
    "height": 720,
    "frames": 1_796,
    "fps": 29.97,
    "rotation": 0,
    "video_codec": "h264",
    "audio_codec": "aac",
    "audio_channels": 2,
    "rendition": "720p",
    "most_bits": 2_800_000,
    "bits": 3_220_800,
    "codecs": "avc1.64001f,mp4a.40.2",
    "preset": "veryfast",
    "columns": 10,
    "count": 60,
    "every_s": 1.0,
    "notify": "https://warehouse.example.com/notices",
    "request": {"account": "01a20495-2e1a-741d-97ea-9f384675989e"},
    "result": {"message_id": "<task-01a20495-2e1b-7d87-b4f3-ce4a2d756a28@example.com>"},
}
BY_FORMAT = {"date": "2026-03-01", "uuid": "01a20495-2e1a-741d-97ea-9f384675989e", "date-time": "2026-03-01T12:00:00Z"}
BY_TYPE: Mapping[str, Any] = {"string": "words", "integer": 1, "number": 0.5, "boolean": True, "null": None}


def example(schema: Schema, name: str = "", defs: Mapping[str, Schema] | None = None) -> Any:
    """A value that the schema allows, with plausible words in it."""
    defs = schema.get("$defs", {}) if defs is None else defs
    if "$ref" in schema:
        return example(defs[schema["$ref"].removeprefix(DEFS)], name, defs)
    if "anyOf" in schema:
        return example(schema["anyOf"][0], name, defs)
    if "enum" in schema:
        return schema["enum"][0]
    if "properties" in schema:
        return {field: example(inner, field, defs) for field, inner in schema["properties"].items()}
    if schema.get("type") == "array":
        return [example(schema["items"], name, defs)] if schema.get("items") else []
    if schema.get("type") == "string" and "format" in schema:
        return BY_FORMAT[schema["format"]]
    if name in SAMPLES:
        return SAMPLES[name]
    return {} if schema.get("type") == "object" else BY_TYPE[schema.get("type", "string")]


def _structs(kind: type[Any]) -> Iterator[type[Any]]:
    """The type, and every record within it."""
    left, seen = [kind], set()
    while left:
        if (struct := left.pop()) in seen:
            continue
        seen.add(struct)
        yield struct
        left += [inner for field in _fields(struct) for inner in _within(field.type)]


def _fields(struct: type[Any]) -> tuple[Field, ...]:
    told = type_info(struct)
    assert isinstance(told, StructType), "Events are made of records."
    return told.fields


def _within(told: Any) -> Iterator[type[Any]]:
    if isinstance(told, StructType):
        yield told.cls
    for inner in (
        *getattr(told, "types", ()),
        *getattr(told, "item_types", ()),
        *(part for name in ("item_type", "key_type", "value_type", "type") if (part := getattr(told, name, None))),
    ):
        yield from _within(inner)


def _tell_times(schema: Schema, struct: type[Any]) -> None:
    """msgspec says of a time without a rule about its zone that it is a text; ours have an offset, always."""
    for field in _fields(struct):
        parts = getattr(field.type, "types", (field.type,))
        if any(isinstance(part, DateTimeType) for part in parts) and field.encode_name in schema["properties"]:
            told = schema["properties"][field.encode_name]
            text = next(part for part in told.get("anyOf", (told,)) if part.get("type") == "string")
            text["format"] = "date-time"


def _leave_out(schema: Schema, fields: tuple[str, ...]) -> None:
    for field in fields:
        del schema["properties"][field]
    schema["required"] = [field for field in schema.get("required", ()) if field not in fields]


def _open(schema: Schema) -> Schema:
    """Without the ban on unknown fields: what a newer program adds must not trouble an older reader."""
    return {key: value for key, value in schema.items() if (key, value) != ("additionalProperties", False)}
