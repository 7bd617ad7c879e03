"""The AsyncAPI document as a page, from itself alone."""

import json
from collections.abc import Iterator
from typing import Any

from adapters.http.html import Html, coded, page, table, tag

BARE = "It has no fields: that it happened is all, or the rest is personal."


def render(document: Any) -> str:
    """The whole page."""
    info, parts = document["info"], document["components"]
    channels = document["channels"].items()
    subjects = [[tag("a", name, href=f"#{name}"), tag("code", one["address"])] for name, one in channels]
    documents = [tag("a", "AsyncAPI document", href="/asyncapi.json"), tag("a", "JSON Schemas", href="/schemas")]
    return page(
        f"{info['title']} {info['version']}: events",
        tag("p", coded(info["description"])),
        tag("p", "For programs: ", documents[0], ", ", documents[1], "."),
        tag("h2", "Subjects"),
        table(["event", "subject"], subjects),
        tag("h2", "Headers"),
        table(["header", "always", "what it says"], list(_headers(parts["messageTraits"]["fact"]["headers"]))),
        *(_channel(name, channel, parts) for name, channel in channels),
    )


def _headers(headers: Any) -> Iterator[list[str]]:
    for name, told in headers["properties"].items():
        yield [tag("code", name), "yes" if name in headers["required"] else "", told["description"]]


def _channel(name: str, channel: Any, parts: Any) -> Html:
    messages = [parts["messages"][reference["$ref"].rpartition("/")[2]] for reference in channel["messages"].values()]
    told = [_message(message, parts["schemas"][message["name"]]) for message in messages]
    return tag("section", tag("h2", name), tag("p", tag("code", channel["address"])), *told, id=name)


def _message(message: Any, schema: Any) -> Html:
    name, _, version = message["name"].rpartition(".v")
    old = " (no longer written)" if message.get("deprecated") else ""
    fields = list(_fields(schema))
    return Html(
        tag("h3", message["name"], old)
        + tag("p", message["summary"], " ", tag("a", "Its schema.", href=f"/schemas/{name}/{version}"))
        + (table(["field", "type", "always"], fields) if fields else tag("p", BARE))
        + _folded("Example", message["examples"][0])
        + _folded("Schema", schema)
    )


def _folded(title: str, value: Any) -> Html:
    return tag("details", tag("summary", title), tag("pre", json.dumps(value, indent=2, ensure_ascii=False)))


def _fields(schema: Any) -> Iterator[list[str]]:
    for name, told in schema.get("properties", {}).items():
        yield [tag("code", name), _type(told), "yes" if name in schema["required"] else ""]


def _type(told: Any) -> str:
    if "anyOf" in told:
        return " or ".join(_type(one) for one in told["anyOf"])
    if "$ref" in told:
        return str(told["$ref"].rpartition("/")[2])
    return str(told.get("format") or told.get("type") or "anything")
