"""The description of the whole API as OpenAPI 3.1, made of its routes and of what they tell of themselves."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from inspect import getdoc, isfunction
from typing import Any

from litestar.enums import ParamType
from litestar.handlers import HTTPRouteHandler

from adapters.http import parameters
from adapters.http.auth import RIGHT
from adapters.http.described import JSON, Body, Described, Kinds, Reply, description_of
from adapters.http.replies import PROBLEM, Node, headers, plain, problem, problems, reply
from adapters.http.schemas import Schemas
from domain.access import RIGHTS, Right

EVERYWHERE = ("bad-request", "address-too-long", "head-too-large", "internal")
WITH_KEY = ("unauthorized", "forbidden", "invalid", "unavailable")
WITH_BODY = ("unsupported-media-type", "invalid", "too-large")
ONCE = ("bad-idempotency-key", "key-reused", "underway")
WRITING = {"POST", "PUT", "PATCH", "DELETE"}
CAUSES = ("X-Correlation-ID", "traceparent")  # what a request that writes may tell of where it comes from
ABOUT = """Errors are problem documents (RFC 9457). Times are RFC 3339, told in UTC; ids are UUIDv7.
Lists are read page by page: `next` is the `after` of the next page, and `Link` its address.
Fields are added, never renamed: expect new ones."""


Routes = Sequence[HTTPRouteHandler]


def document(routes: Routes, kinds: Kinds) -> Node:
    """The document. Raises LookupError where a route does not tell of itself."""
    known = [(route, description_of(route)) for route in routes]
    bodies = {id(told.body): _shape(told.body, kinds) for _, told in known if told.body}
    asked = [hint for route, _ in known for _, hint, _, _ in parameters.arguments(route)]
    taken = [*bodies.values(), *map(parameters.plain_type, asked)]
    given = [shape for _, told in known for one in told.replies.values() for shape in one.shapes]
    schemas = Schemas(taken, given)
    paths: dict[str, Node] = {}
    answers: dict[str, Node] = {}
    for route, told in known:
        body = _body(told.body, schemas.taken(bodies[id(told.body)]), kinds) if told.body else None
        operation = _operation(route, told, schemas, body, answers)
        for path in sorted(route.paths):
            item = paths.setdefault(re.sub(r":\w+\}", "}", path), {})
            for method in sorted(route.http_methods):
                item[method.lower()] = _headed(operation, answers) if method == "HEAD" else operation
            if route.http_methods == {"HEAD"}:  # a question of its own
                item["head"] |= {"operationId": told.id}
    for path, item in paths.items():
        item["options"] = _options(path, item, answers)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "postcommit",
            "version": version("postcommit"),
            "summary": "What happens after the commit: no task is lost, and every result can be asked for.",
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(told.group for _, told in known)],
        "paths": paths,
        "components": {
            "schemas": schemas.components | {"Problem": PROBLEM},
            "responses": dict(sorted(answers.items())),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": _scopes()}},
        },
    }


def problems_of(route: HTTPRouteHandler, told: Described) -> set[str]:
    """What its own description names, and what follows from its method, its key, its parameters and its body."""
    places = {place for _, _, place, _ in parameters.arguments(route)}
    found = {*EVERYWHERE, *told.problems}
    found |= set(WITH_KEY) if route.opt.get(RIGHT) else set()
    found |= {"not-found"} if ParamType.PATH in places else set()
    found |= {"invalid"} if ParamType.QUERY in places or "Last-Event-ID" in told.takes else set()
    found |= set(WITH_BODY) if told.body else set()
    found |= {"malformed-json"} if told.body and told.body.media_type == JSON else set()
    found |= {"overloaded"} if _writes(route) else set()
    found |= set(ONCE) if _once(route) else set()
    return found | ({"stale"} if {"If-Match", "If-Match!"} & set(told.takes) else set())


def _writes(route: HTTPRouteHandler) -> bool:
    return RIGHT in route.opt and bool(WRITING & route.http_methods)


def _once(route: HTTPRouteHandler) -> bool:
    return _writes(route) and "POST" in route.http_methods


def _takes(route: HTTPRouteHandler, told: Described) -> list[str]:
    once = ["Idempotency-Key"] if _once(route) else []
    return [*told.takes, *once, *(CAUSES if _writes(route) else ()), "X-Request-ID"]


def _operation(
    route: HTTPRouteHandler, told: Described, schemas: Schemas, body: Node | None, answers: dict[str, Node]
) -> Node:
    summary, _, more = (getdoc(route.fn) or "").partition("\n\n")
    known = {f"{status}": reply(status, one, schemas) for status, one in _replies(route, told).items()}
    for status, slugs in problems(problems_of(route, told)).items():
        assert f"{status}" not in known, f"{told.id} answers {status} with and without a problem."
        known[f"{status}"] = _shared(answers, status, slugs)
    operation: Node = {"operationId": told.id, "tags": [told.group], "summary": " ".join(summary.split())}
    operation |= {"description": more} if more else {}
    operation["parameters"] = [*parameters.parameters(route, schemas), *parameters.headers(_takes(route, told))]
    operation |= {"requestBody": body} if body else {}
    operation["responses"] = dict(sorted(known.items()))
    operation["security"] = [{"key": [scope]} for scope, rights in RIGHTS.items() if route.opt.get(RIGHT) in rights]
    return operation


def _replies(route: HTTPRouteHandler, told: Described) -> Mapping[int, Reply]:
    found = dict(told.replies)
    if "If-None-Match" in told.takes:
        found.setdefault(304, Reply(headers=("ETag",)))
    if _once(route):
        for status, one in found.items():
            found[status] = replace(one, may=(*one.may, "Idempotency-Replayed"))
    return found


def _shared(answers: dict[str, Node], status: int, slugs: list[str]) -> Node:
    name = f"{status}.{'.'.join(slugs)}"
    answers.setdefault(name, problem(status, slugs))
    return {"$ref": f"#/components/responses/{name}"}


def _headed(operation: Node, answers: Mapping[str, Node]) -> Node:
    """HEAD: the same without any body."""
    whole = {
        status: answers[answer["$ref"].rpartition("/")[2]] if "$ref" in answer else answer
        for status, answer in operation["responses"].items()
    }
    bare = {
        status: {key: part for key, part in answer.items() if key not in ("content", "links")}
        for status, answer in whole.items()
    }
    return operation | {"operationId": f"head_{operation['operationId']}", "responses": bare}


def _options(path: str, item: Node, answers: dict[str, Node]) -> Node:
    first = next(iter(item.values()))
    known = {f"{status}": _shared(answers, status, slugs) for status, slugs in problems(EVERYWHERE).items()}
    done = {"description": "The methods of this address.", "headers": headers(("Allow", "X-Request-ID"))}
    anything = {"schema": {"type": "string", "minLength": 1}}
    inside = [one | anything for one in first["parameters"] if one["in"] == "path"]
    return {
        "operationId": f"options_{first['operationId']}",
        "tags": first["tags"],
        "summary": f"Which methods {path} has.",
        "parameters": inside,
        "responses": {"204": done} | known,
        "security": [],
    }


def _shape(body: Body, kinds: Kinds) -> Any:
    return body.shape(kinds) if isfunction(body.shape) else body.shape


def _body(body: Body, schema: Node, kinds: Kinds) -> Node:
    told = body.examples(kinds) if callable(body.examples) else body.examples
    examples = {name: {"value": plain(value)} for name, value in told.items()}
    return {"required": not body.optional, "content": {body.media_type: {"schema": schema, "examples": examples}}}


def _scopes() -> str:
    may = (f"- `{scope}`: {', '.join(right for right in Right if right in RIGHTS[scope])}" for scope in RIGHTS)
    return "A key has one scope. A `client` sees what it asked for itself, and nothing else.\n\n" + "\n".join(may)
