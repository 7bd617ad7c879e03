"""The description of the API as a page for people."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from adapters.http.described import JSON
from adapters.http.html import Html, coded, page, table, tag
from adapters.http.replies import Node
from adapters.http.schemas import AT

FOLLOWING = ("head", "options")  # they are told of once


def render(document: Node) -> str:
    """The whole page."""
    info, groups = document["info"], [group["name"] for group in document["tags"]]
    operations = [
        (method, path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method not in FOLLOWING
    ]
    return page(
        f"{info['title']} {info['version']}: the REST API",
        tag("p", info["summary"]),
        tag("p", coded(info["description"])),
        tag("p", coded("As a document for programs: "), tag("a", "openapi.json", href="/openapi.json"), "."),
        tag("p", coded("What answers GET answers HEAD, but for the live stream; OPTIONS tells the methods of a path.")),
        _nav(groups, operations),
        tag("h2", "Keys"),
        *_keys(document),
        *(_group(group, operations, document) for group in groups),
        tag("h2", "Types"),
        *(_type_of(name, schema) for name, schema in document["components"]["schemas"].items()),
    )


Operations = list[tuple[str, str, Node]]


def _nav(groups: list[str], operations: Operations) -> Html:
    links = [
        tag("li", tag("a", f"{method.upper()} {path}", href=f"#{operation['operationId']}"))
        for group in groups
        for method, path, operation in operations
        if operation["tags"] == [group]
    ]
    return tag("nav", tag("ul", *links))


def _keys(document: Node) -> Iterator[Html]:
    for part in document["components"]["securitySchemes"]["key"]["description"].split("\n\n"):
        lines = part.split("\n- ") if part.startswith("- ") else []
        yield tag("ul", *(tag("li", coded(line.removeprefix("- "))) for line in lines)) if lines else tag("p", part)


def _group(group: str, operations: Operations, document: Node) -> Html:
    inside = [_operation(*one, document) for one in operations if one[2]["tags"] == [group]]
    return tag("div", tag("h2", group), *inside)


def _operation(method: str, path: str, told: Node, document: Node) -> Html:
    scopes = [scope for need in told["security"] for scope in need["key"]]
    parameters: list[list[str]] = [
        [coded(f"`{one['name']}`"), one["in"], _type(one["schema"]), coded(one.get("description", ""))]
        for one in told["parameters"]
    ]
    body = told.get("requestBody", {}).get("content", {})
    return tag(
        "section",
        tag("h3", tag("span", method, class_="method"), " ", tag("code", path)),
        tag("p", coded(told["summary"])),
        tag("p", coded(told.get("description", ""))),
        tag("p", coded("Keys: " + (", ".join(f"`{scope}`" for scope in scopes) or "none is needed"))),
        table(["parameter", "in", "type", ""], parameters),
        *(part for media_type, content in body.items() for part in _content("Body", media_type, content)),
        tag("pre", curl(method, path, told)),
        *(_answer(status, answer, document) for status, answer in told["responses"].items()),
        id=told["operationId"],
    )


def _answer(status: str, answer: Node, document: Node) -> Html:
    if "$ref" in answer:
        answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    rows = [[coded(f"`{name}`"), coded(one["description"])] for name, one in answer.get("headers", {}).items()]
    content = answer.get("content", {})
    return tag(
        "details",
        tag("summary", tag("strong", status), " ", answer["description"]),
        table(["header", ""], rows),
        *(part for media_type, one in content.items() for part in _content("Answer", media_type, one)),
    )


def _content(word: str, media_type: str, content: Node) -> Iterator[Html]:
    yield tag("p", f"{word}: ", tag("code", media_type), ", ", _type(content["schema"]))
    for name, example in content["examples"].items():
        yield tag("p", name, class_="quiet")
        yield tag("pre", _pretty(example["value"]))


def curl(method: str, path: str, told: Node) -> str:
    """A line for the shell that does this once."""
    words = ["curl -i"] if method in ("get", "post") else [f"curl -i -X {method.upper()}"]
    words += ['-H "Authorization: Bearer $KEY"'] if told["security"] else []
    if content := told.get("requestBody", {}).get("content"):
        ((media_type, one),) = content.items()
        value = next(iter(one["examples"].values()))["value"]
        example = msgspec.json.encode(value).decode() if media_type == JSON else value
        words += [f"-H 'Content-Type: {media_type}'", "-d '" + example.replace("'", "'\\''") + "'"]
    elif method == "post":
        words.append("-X POST")
    return " \\\n  ".join([*words, f'"$API{quote(path, safe="/{}")}"'])


def _pretty(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _type_of(name: str, schema: Node) -> Html:
    required = schema.get("required", ())
    rows = [
        [
            coded(f"`{field}`"),
            _type(one),
            "" if field in required else "may be left out",
            coded(one.get("description", "")),
        ]
        for field, one in schema.get("properties", {}).items()
    ]
    known = [tag("p", coded(schema["description"]))] if "description" in schema else []
    inside = table(["field", "type", "", ""], rows) if rows else tag("p", _type(schema))
    return tag("section", tag("h3", name), *known, inside, id=f"type-{name}")


def _type(schema: Mapping[str, Any]) -> Html:
    """A type in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(AT)
        return tag("a", name, href=f"#type-{name}")
    for word, between in (("oneOf", " or "), ("anyOf", " or "), ("allOf", " with ")):
        if word in schema:
            parts = [_type(one) for one in schema[word] if "$ref" in one or word != "allOf"]
            return Html(between.join(parts))
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return coded(", ".join(f"`{value}`" for value in values))
    if schema.get("type") == "array":
        return Html("list of " + _type(schema.get("items", {})))
    return coded(f"{schema.get('type', 'anything')}{_limits(schema)}")


def _limits(schema: Mapping[str, Any]) -> str:
    told = {"format": "", "minimum": "from ", "maximum": "to ", "maxLength": "length to "}
    found = [f"{word}{schema[name]}" for name, word in told.items() if name in schema]
    return f" ({', '.join(found)})" if found else ""
