"""Is the description of the API whole and right, by itself? What the API really answers is tried in tests/flows."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from litestar import get, post
from litestar.params import FromPath
from openapi_spec_validator import OpenAPIV31SpecValidator

from adapters.http import examples
from adapters.http.app import MAIL, ROUTES, UPLOADS
from adapters.http.described import Body, Reply, described
from adapters.http.docs import manual
from adapters.http.openapi import document
from adapters.http.problems import PROBLEMS
from infra.app import KINDS

DOCUMENT = document([*ROUTES, *UPLOADS, *MAIL], KINDS)
PAGE = manual([*ROUTES, *UPLOADS, *MAIL], KINDS).page
JSON_LIKE = re.compile(r"application/(?:.+\+)?json")


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


NAMED = [pytest.param(*one, id=one[2]["operationId"]) for one in operations()]


def flaws(schema: Any, value: Any) -> list[str]:
    whole = {"$ref": "#/here", "here": schema, "components": DOCUMENT["components"]}
    validator = Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)
    return [error.message for error in validator.iter_errors(value)]


def answers(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for status, answer in operation["responses"].items():
        name = answer.get("$ref", "").rpartition("/")[2]
        yield status, DOCUMENT["components"]["responses"][name] if name else answer


def test_it_is_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert [error.message for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []


@pytest.mark.parametrize(("method", "path", "operation"), NAMED)
def test_every_operation_says_what_it_does_and_what_it_answers(method: str, path: str, operation: Any) -> None:
    assert operation["summary"].endswith("."), "The docstring of a handler begins with a sentence."
    assert {one["name"] for one in operation["parameters"] if one["in"] == "path"} == set(re.findall(r"{(\w+)}", path))
    assert any(status < "400" for status in operation["responses"])
    for status, answer in answers(operation):
        assert "X-Request-ID" in answer["headers"], status
        bodiless = (method in ("head", "options") and status < "400") or status in ("204", "304") or method == "head"
        assert ("content" in answer) == (not bodiless), status


@pytest.mark.parametrize(("method", "path", "operation"), NAMED)
def test_every_example_is_one(method: str, path: str, operation: Any) -> None:
    contents = [*operation.get("requestBody", {}).get("content", {}).items()]
    contents += [pair for _, answer in answers(operation) for pair in answer.get("content", {}).items()]
    for media_type, content in contents:
        assert content["examples"], media_type
        for name, example in content["examples"].items():
            assert flaws(content["schema"], example["value"]) == [], (media_type, name)
    for parameter in [*operation["parameters"], *(one for _, a in answers(operation) for one in a["headers"].values())]:
        if "example" in parameter:
            assert flaws(parameter["schema"], parameter["example"]) == [], parameter


def test_an_example_that_is_none_would_be_found() -> None:
    task = {"$ref": "#/components/schemas/TaskShown"}
    good = DOCUMENT["paths"]["/v1/tasks/{id}"]["get"]["responses"]["200"]["content"]["application/json"]["examples"]
    assert flaws(task, good["example"]["value"]) == []
    assert flaws(task, good["example"]["value"] | {"id": "x"}) and flaws(task, good["example"]["value"] | {"by": 1})
    assert flaws(task, {key: value for key, value in good["example"]["value"].items() if key != "links"})


def test_every_kind_can_be_asked_for_and_none_else() -> None:
    schema = DOCUMENT["paths"]["/v1/tasks"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(schema["discriminator"]["mapping"]) == set(KINDS) and len(schema["oneOf"]) == len(KINDS)
    assert flaws(schema, {"kind": "probe", "request": {"work_s": 1}}) == []
    for wrong in (
        {"kind": "nobody", "request": {}},
        {"kind": "email_welcome", "request": {}},
        {"kind": "probe", "request": {"work_s": -1}},
        {"kind": "probe", "request": {"unknown": 1}},
        {"kind": "probe", "request": {}, "unknown": 1},
    ):
        assert flaws(schema, wrong), wrong


def test_every_problem_is_told_somewhere_with_an_example_of_its_own() -> None:
    told = {
        name: example["value"]
        for answer in DOCUMENT["components"]["responses"].values()
        for name, example in answer["content"]["application/problem+json"]["examples"].items()
    }
    of_addresses = {"method-not-allowed"}  # what an address has not is no operation
    assert set(told) == set(PROBLEMS) - of_addresses
    for slug, value in told.items():
        assert (value["type"], value["status"]) == (f"/problems/{slug}", PROBLEMS[slug][0])
    assert {slug for slug in told if examples.problem(slug).detail == f"{PROBLEMS[slug][1]}."} <= PLAIN


PLAIN = {"bad-request", "address-too-long", "head-too-large"}  # their titles say it all


def test_links_lead_to_operations() -> None:
    known = {operation["operationId"]: (path, operation) for _, path, operation in operations()}
    found = 0
    for _, _, operation in operations():
        for _, answer in answers(operation):
            for link in answer.get("links", {}).values():
                path, _ = known[link["operationId"]]
                assert [f"{{{name}}}" in path for name in link["parameters"]] == [True]
                found += 1
    assert found >= 10


def test_an_answer_may_have_other_media_types_too() -> None:
    lines = {"application/x-ndjson": '{"id": 1}\n'}

    @get("/v1/lines", opt=described("list_lines", "Lines", {200: Reply(list[int], [1], also=lines)}))
    async def listed() -> None:
        """Lines."""

    content = document([listed], KINDS)["paths"]["/v1/lines"]["get"]["responses"]["200"]["content"]
    assert list(content) == ["application/json", "application/x-ndjson"]
    assert content["application/x-ndjson"]["examples"]["example"]["value"] == lines["application/x-ndjson"]


def test_one_name_for_two_shapes_is_told_apart() -> None:
    class Line(msgspec.Struct, forbid_unknown_fields=True):
        text: str
        note: str = ""

    @post("/v1/lines", opt=described("add", "Lines", {200: Reply(Line, Line("x"))}, Body(Line, {"x": {"text": "x"}})))
    async def add() -> None:
        """Add a line."""

    schemas = document([add], KINDS)["components"]["schemas"]
    assert (schemas["Line"]["required"], schemas["LineShown"]["required"]) == (["text"], ["text", "note"])
    assert schemas["Line"]["additionalProperties"] is False and "additionalProperties" not in schemas["LineShown"]


def test_a_header_may_be_required() -> None:
    @post("/v1/lines/{id:str}", opt=described("change", "Lines", {200: Reply(str, "x")}, takes=["If-Match!"]))
    async def change(id: FromPath[str]) -> None:
        """Change a line."""

    operation = document([change], KINDS)["paths"]["/v1/lines/{id}"]["post"]
    assert [one["name"] for one in operation["parameters"] if one["required"]] == ["id", "If-Match"]
    assert "412" in operation["responses"]


def test_operations_have_names_of_their_own() -> None:
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(ids)) == len(ids)


def test_a_route_that_does_not_tell_of_itself_is_refused() -> None:
    @get("/v1/silent")
    async def silent() -> None: ...

    with pytest.raises(LookupError, match="The route /v1/silent does not say what it is"):
        document([silent], KINDS)


def test_an_answer_with_and_without_a_problem_is_refused() -> None:
    @get("/v1/both", opt=described("both", "Both", {500: Reply(str, "x")}))
    async def both() -> None: ...

    with pytest.raises(AssertionError, match="both answers 500"):
        document([both], KINDS)


class Loads(HTMLParser):
    """What a page would load, and the places in it that its links name."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.links: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "action", "data", "poster", "background") or (tag, name) == ("link", "href"):
                self.loads.append(value or "")
            self.ids += [value or ""] if name == "id" else []
            self.links |= {value or ""} if (tag, name) == ("a", "href") else set()


def test_the_page_loads_nothing_and_its_links_stay_here() -> None:
    page = Loads(PAGE)
    assert page.loads == [] and not page.tags & {"script", "iframe", "img", "object", "link", "form"}
    assert not re.search(r"@import|url\(", PAGE)
    assert len(set(page.ids)) == len(page.ids)
    assert {link for link in page.links if not link.startswith("#")} == {"/openapi.json"}
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


def test_the_page_tells_of_every_operation() -> None:
    told = set(Loads(PAGE).ids)
    assert {one["operationId"] for method, _, one in operations() if method not in ("head", "options")} <= told
    assert "prefers-color-scheme" in PAGE or "color-scheme: light dark" in PAGE


def test_what_is_told_is_escaped() -> None:
    @get("/v1/odd", opt=described("odd", "<b>Odd</b>", {200: Reply(str, "<script>alert(1)</script>")}))
    async def odd() -> None:
        """Is <i>odd</i> & `<u>`."""

    page = manual([odd], KINDS).page
    assert not Loads(page).tags & {"b", "i", "u", "script"} and "&lt;script&gt;" in page
