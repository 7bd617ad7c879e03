"""The answers of an operation as OpenAPI tells of them: what was asked for, and every problem that can occur."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from adapters.http import examples
from adapters.http.described import JSON, Reply
from adapters.http.headers import ANSWERED
from adapters.http.problems import HEADERS, MEDIA_TYPE, PROBLEMS, document
from adapters.http.schemas import Schemas

Node = dict[str, Any]
EVENTS = "text/event-stream"
ALWAYS = ("X-Request-ID", "X-Content-Type-Options")
TEXT: Node = {"type": "string"}
ERROR: Node = {
    "type": "object",
    "description": "One thing that is wrong, and where.",
    "properties": {
        "pointer": TEXT | {"description": "Into the body, by RFC 6901."},
        "parameter": TEXT,
        "header": TEXT,
        "detail": TEXT,
    },
    "required": ["detail"],
}
PROBLEM: Node = {
    "type": "object",
    "description": "What went wrong (RFC 9457). `type` is for programs, `detail` for people.",
    "properties": {
        "type": TEXT | {"format": "uri-reference"},
        "title": TEXT,
        "status": {"type": "integer"},
        "detail": TEXT,
        "instance": TEXT,
        "request_id": TEXT,
        "errors": {"type": "array", "items": ERROR},
        "epoch": TEXT | {"format": "uuid"},
        "head": {"type": "integer"},
    },
    "required": ["type", "title", "status", "detail", "request_id"],
}
MAY: Mapping[str, tuple[str, ...]] = {  # headers that are there with some of these problems only
    "conflict": ("Location",),
    "stale": ("ETag",),
    "unsupported-media-type": ("Accept-Encoding", "Connection", "Tus-Resumable"),
    "no-such-range": ("Content-Range",),
}


def reply(status: int, told: Reply, schemas: Schemas) -> Node:
    words = WORDS.get(status) or f"{HTTPStatus(status).phrase}."
    node: Node = {"description": words, "headers": headers((*ALWAYS, *told.headers), told.may)}
    if told.shape is not None:
        content = {"schema": _schema(told, schemas), "examples": {"example": {"value": plain(told.example)}}}
        node["content"] = {told.media_type: content}
        node["content"] |= {name: _text(example) for name, example in (told.also or {}).items()}
    if told.links:
        node["links"] = {id: {"operationId": id, "parameters": {"id": at}} for id, at in told.links.items()}
    return node


def _schema(told: Reply, schemas: Schemas) -> Node:
    known = [schemas.given(shape) for shape in told.shapes]
    schema = known[0] if len(known) == 1 else {"anyOf": known}
    if told.media_type != EVENTS or told.shape is str:
        return schema
    data = TEXT | {"contentMediaType": JSON, "contentSchema": schema}
    return {"description": "Of each event; the whole is text.", "properties": {"id": TEXT, "data": data}}


def _text(example: str) -> Node:
    return {"schema": TEXT, "examples": {"example": {"value": example}}}


def problems(slugs: Iterable[str]) -> dict[int, list[str]]:
    """The slugs by their status."""
    found: dict[int, list[str]] = defaultdict(list)
    for slug in sorted(set(slugs)):
        found[PROBLEMS[slug][0]].append(slug)
    return dict(found)


def problem(status: int, slugs: list[str]) -> Node:
    """The answer that tells of one of these problems, all of one status."""
    sets = [set(HEADERS.get(slug, {})) for slug in slugs]
    always, some = set.intersection(*sets), set.union(*sets).union(*(MAY.get(slug, ()) for slug in slugs))
    types = {"type": {"enum": [f"/problems/{slug}" for slug in slugs]}, "status": {"const": status}}
    return {
        "description": "; or: ".join(PROBLEMS[slug][1] for slug in slugs) + ".",
        "headers": headers([*ALWAYS, *sorted(always)], sorted(some - always)),
        "content": {
            MEDIA_TYPE: {
                "schema": {"allOf": [{"$ref": "#/components/schemas/Problem"}, {"properties": types}]},
                "examples": {slug: {"value": _problem(slug)} for slug in slugs},
            }
        },
    }


def headers(always: Iterable[str], may: Iterable[str] = ()) -> Node:
    return {name: ANSWERED[name] | {"required": True} for name in always} | {name: ANSWERED[name] for name in may}


def plain(value: Any) -> Any:
    """An example as the JSON that a caller gets; text stays as it is."""
    return value if isinstance(value, str) else msgspec.json.decode(msgspec.json.encode(value))


def _problem(slug: str) -> Any:
    return msgspec.json.decode(document(examples.problem(slug), "checkout-7", "/v1/…")[2])


WORDS = {
    200: "It is told.",
    201: "It is made.",
    202: "It is taken: the work follows.",
    204: "It is done; there is nothing to tell.",
    304: "Nothing has changed.",
    503: "It cannot serve.",
}
