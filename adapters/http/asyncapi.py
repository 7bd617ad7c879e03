"""The AsyncAPI 3 document: what postcommit tells in NATS, made from the catalogue and the published schemas."""

from collections.abc import Mapping
from typing import Any

from adapters.http.published import is_current, schemas
from domain import schema
from domain.catalogue import TYPES
from domain.cloudevents import ALWAYS, HEADERS

Part = dict[str, Any]
SPEC = "3.0.0"
ABOUT = """\
The log of postcommit, told in the JetStream stream LOG, whose sequence is the position in the log. It is a mirror: the
log itself is read by `GET /v1/events`. A consumer is made by `postcommit consumers add NAME --filter SUBJECT`; it has a
user, a durable and an inbox of its own. Messages come at least once. Personal data is in none of them."""
PARAMETERS: Mapping[str, str] = {
    "id": "The id of the thing that it is about, a UUID.",
    "queue": "The queue of the task.",
    "kind": "The kind of the task.",
}


def document(version: str) -> Part:
    """The document, for the program's version."""
    names = sorted(TYPES)
    return {
        "asyncapi": SPEC,
        "info": {"title": "postcommit", "version": version, "description": ABOUT, "license": {"name": "MIT"}},
        "defaultContentType": "application/json",
        "servers": {
            "nats": {
                "host": "{host}",
                "protocol": "nats",
                "description": "A NATS server of version 2.14 or newer.",
                "variables": {"host": {"default": "127.0.0.1:4222", "description": "Its host and port."}},
                "security": [{"$ref": "#/components/securitySchemes/user"}],
            }
        },
        "channels": {name: _channel(name) for name in names},
        "operations": {f"tell {name}": _operation(name) for name in names},
        "components": {
            "messages": {f"{name}.v{number}": _message(name, number) for name, number in schemas()},
            "schemas": {f"{name}.v{number}": _schema(told) for (name, number), told in schemas().items()},
            "messageTraits": {"fact": _fact()},
            "securitySchemes": {
                "user": {
                    "type": "userPassword",
                    "description": "The user of one consumer: it may fetch from its durable and acknowledge.",
                }
            },
        },
    }


def address(name: str) -> str:
    """The subject of an event, with its parameters."""
    category, _, event = name.partition(".")
    return (
        f"tasks.v1.{{queue}}.{{kind}}.{event}.{{id}}" if category == "task" else f"events.v1.{category}.{event}.{{id}}"
    )


def _channel(name: str) -> Part:
    subject = address(name)
    return {
        "address": subject,
        "messages": {
            f"v{number}": {"$ref": f"#/components/messages/{name}.v{number}"}
            for known, number in schemas()
            if known == name
        },
        "parameters": {
            parameter: {"description": words}
            for parameter, words in PARAMETERS.items()
            if f"{{{parameter}}}" in subject
        },
        "servers": [{"$ref": "#/servers/nats"}],
    }


def _operation(name: str) -> Part:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{name}"},
        "summary": f"postcommit tells of every {name}; whoever may, fetches it.",
        "messages": [
            {"$ref": f"#/channels/{name}/messages/v{number}"}
            for known, number in schemas()
            if known == name and is_current(name, number)
        ],
    }


def _message(name: str, number: int) -> Part:
    told = schemas()[name, number]
    return {
        "name": f"{name}.v{number}",
        "title": name,
        "summary": told.get("description", ""),
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{name}.v{number}"},
        "traits": [{"$ref": "#/components/messageTraits/fact"}],
        "examples": [{"name": "example", "headers": _sample(name, number), "payload": schema.example(dict(told))}],
    } | ({} if is_current(name, number) else {"deprecated": True, "x-no-longer-written": True})


def _schema(told: Mapping[str, Any]) -> Part:
    """As a part of this document: references within it begin at its own root."""
    name = told["title"]

    def moved(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: f"#/components/schemas/{name}/$defs/{inner.removeprefix(schema.DEFS)}"
                if key == "$ref"
                else moved(inner)
                for key, inner in value.items()
                if key not in ("$schema", "$id")
            }
        return [moved(one) for one in value] if isinstance(value, list) else value

    return dict(moved(dict(told)))


def _fact() -> Part:
    properties = {name: {"type": "string", "description": words} for name, words in HEADERS.items()}
    return {
        "headers": {"type": "object", "properties": properties, "required": list(ALWAYS)},
        "correlationId": {"location": "$message.header#/ce-correlationid"},
    }


def _sample(name: str, number: int) -> Part:
    """The headers of an example, as cloudevents.headers() would tell them."""
    category = name.partition(".")[0]
    return {
        "ce-specversion": "1.0",
        "ce-id": "01a20495-2e1b-7d87-b4f3-ce4a2d756a28",
        "ce-source": "/postcommit",
        "ce-type": f"{name}.v{number}",
        "ce-subject": f"{category}-01a20495-2e1a-741d-97ea-9f384675989e",
        "ce-time": "2026-03-01T12:00:00Z",
        "ce-dataschema": f"http://127.0.0.1:8000/schemas/{name}/{number}",
        "ce-sequence": "1",
        "ce-position": "4711",
        "content-type": "application/json",
        "Postcommit-Epoch": "01a20495-0000-7000-8000-000000000000",
    }
