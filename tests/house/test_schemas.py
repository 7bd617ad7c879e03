"""Is everything that NATS tells published: a schema for every event and version, and a document that holds together?"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from adapters.http import asyncapi
from adapters.http.asyncapi_page import render
from adapters.http.published import FOLDER
from domain import catalogue, cloudevents
from infra.schemas import publish
from tests.house.test_openapi import Loads

ROOT = Path(__file__).parents[2]
DOCUMENT = asyncapi.document("1.0")
PAGE = render(DOCUMENT)
FILES = sorted(FOLDER.glob("*/*.json"))
HISTORY = sorted((ROOT / "tests/domain/history").glob("*.json"))


def test_every_event_has_its_schema_and_every_schema_its_event() -> None:
    names = {path.parent.name for path in FILES}
    assert names == set(catalogue.TYPES)
    for name in names:
        versions = sorted(int(path.stem) for path in FILES if path.parent.name == name)
        assert versions == list(range(1, catalogue.version_of(name) + 1)), name


def test_what_is_published_is_what_the_code_says(tmp_path: Path) -> None:
    for path in FILES:
        copy = tmp_path / path.relative_to(FOLDER)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(path.read_text())
    assert publish(tmp_path) == ([], []), "`make schemas` has something to do"


def test_a_published_schema_is_not_overwritten_by_one_that_breaks_its_readers(tmp_path: Path) -> None:
    publish(tmp_path)
    path = tmp_path / "order.recorded/1.json"
    told = json.loads(path.read_text())
    told["properties"]["gone"] = {"type": "string"}
    path.write_text(json.dumps(told))
    assert publish(tmp_path) == ([], ["order.recorded/1.json: /properties/gone is gone."])
    assert json.loads(path.read_text()) == told


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}.v{path.stem}")
def test_a_schema_names_itself_and_says_what_happened(path: Path) -> None:
    told = json.loads(path.read_text())
    Draft202012Validator.check_schema(told)
    assert told["$id"] == cloudevents.schema_path(path.parent.name, int(path.stem))
    assert told["title"] == f"{path.parent.name}.v{path.stem}"
    assert told["description"].endswith(".")


@pytest.mark.parametrize("path", HISTORY, ids=lambda path: path.stem)
def test_rows_of_the_past_fit_the_schema_of_their_version(path: Path) -> None:
    row = json.loads(path.read_text())
    told = json.loads((FOLDER / row["name"] / f"{row['name_version']}.json").read_text())
    assert list(Draft202012Validator(told).iter_errors(row["data"])) == []


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from [value] if key == "$ref" else references(value)
    elif isinstance(node, list):
        for one in node:
            yield from references(one)


def resolved(reference: str) -> Any:
    node: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        node = node[part.replace("~1", "/").replace("~0", "~")]
    return node


def test_the_document_is_asyncapi_3_and_every_reference_leads_somewhere_in_it() -> None:
    assert re.fullmatch(r"3\.\d+\.\d+", DOCUMENT["asyncapi"]) and {"info", "channels", "operations"} <= DOCUMENT.keys()
    found = list(references(DOCUMENT))
    assert len(found) > 100
    for reference in found:
        assert reference.startswith("#/") and resolved(reference), reference


def test_every_channel_has_its_parameters_and_every_operation_its_messages() -> None:
    assert set(DOCUMENT["channels"]) == set(catalogue.TYPES)
    for name, channel in DOCUMENT["channels"].items():
        assert set(re.findall(r"{(\w+)}", channel["address"])) == set(channel["parameters"]), name
        assert len(channel["address"].split(".")) == (6 if name.startswith("task.") else 5)
        assert len(channel["messages"]) == catalogue.version_of(name)
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] == "send" and len(operation["messages"]) == 1


def test_every_example_of_a_message_fits_its_schema_and_headers() -> None:
    headers = DOCUMENT["components"]["messageTraits"]["fact"]["headers"]
    for name, message in DOCUMENT["components"]["messages"].items():
        [example] = message["examples"]
        payload = {"$ref": message["payload"]["$ref"], "components": DOCUMENT["components"]}
        assert list(Draft202012Validator(payload).iter_errors(example["payload"])) == [], name
        assert list(Draft202012Validator(headers).iter_errors(example["headers"])) == [], name


def test_the_page_loads_nothing_and_its_links_stay_here() -> None:
    page = Loads(PAGE)
    assert page.loads == [] and not page.tags & {"script", "iframe", "img", "object", "link", "form"}
    assert not re.search(r"@import|url\(", PAGE)
    outside = {link for link in page.links if not link.startswith("#")}
    schemas = {cloudevents.schema_path(path.parent.name, int(path.stem)) for path in FILES}
    assert outside == {"/asyncapi.json", "/schemas", *schemas}
    assert {link[1:] for link in page.links if link.startswith("#")} == set(page.ids) == set(catalogue.TYPES)


def test_every_header_is_told_on_the_page_of_consumers() -> None:
    text = (ROOT / "docs/consuming-events.md").read_text()
    rows = dict(re.findall(r"^\| `([A-Za-z-]+)` \| (yes|) ?\|", text, re.MULTILINE))
    assert set(rows) == set(cloudevents.HEADERS)
    assert {name for name, always in rows.items() if always} == set(cloudevents.ALWAYS)
