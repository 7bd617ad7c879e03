"""Do the schemas of events say what messages hold, and is every change that would break a reader found?"""

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator

from domain import catalogue, schema
from domain.record import personal_fields
from tests.domain.test_laws import events

NAMES = sorted(catalogue.TYPES)


def flaws(told: Any, value: Any) -> list[str]:
    checker = Draft202012Validator.FORMAT_CHECKER
    return [error.message for error in Draft202012Validator(told, format_checker=checker).iter_errors(value)]


@pytest.mark.parametrize("name", NAMES)
def test_whatever_an_event_holds_its_message_fits_the_schema(name: str) -> None:
    kind, told = catalogue.TYPES[name], schema.of_event(name)
    Draft202012Validator.check_schema(told)

    @given(events[kind])
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def law(event: Any) -> None:
        _, data, _ = catalogue.dump(event)
        assert flaws(told, json.loads(data)) == []

    law()


@pytest.mark.parametrize("name", NAMES)
def test_the_example_fits_and_another_type_does_not(name: str) -> None:
    told = schema.of_event(name)
    assert flaws(told, schema.example(told)) == []
    assert flaws(told, [])


@pytest.mark.parametrize("name", NAMES)
def test_what_is_personal_stands_in_no_schema(name: str) -> None:
    told = str(schema.of_event(name))
    assert not [field for field in personal_fields(catalogue.TYPES[name]) if f"'{field}'" in told]


def test_a_reader_of_today_takes_the_fields_of_tomorrow() -> None:
    told = schema.of_event("order.created")
    value = schema.example(told) | {"new": 1}
    value["lines"][0]["new"] = 1
    assert flaws(told, value) == []


PUBLISHED: Any = {
    "title": "thing.done.v1",
    "type": "object",
    "properties": {"a": {"type": "string"}, "b": {"$ref": "#/$defs/B"}, "e": {"enum": ["x", "y"]}},
    "required": ["a"],
    "$defs": {"B": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}},
}


def changed(path: str, value: Any) -> Any:
    """The schema with another value there; None takes it away."""
    whole = deepcopy(PUBLISHED)
    *way, last = path.split("/")
    node = whole
    for part in way:
        node = node[part]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return whole


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("properties/c", {"type": "integer"}),
        ("$defs/B/properties/m", {"type": "string"}),
        ("$defs/C", {"type": "object"}),
        ("description", "Other words."),
        ("title", "Another title"),
        ("properties/a", {"type": "string", "description": "Words."}),
    ],
)
def test_an_optional_field_and_other_words_break_nobody(path: str, value: Any) -> None:
    assert schema.breaks(PUBLISHED, changed(path, value)) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("properties/a", None),
        ("properties/a", {"type": "integer"}),
        ("properties/a", {"type": ["string", "null"]}),
        ("properties/e", {"enum": ["x"]}),
        ("properties/e", {"enum": ["x", "y", "z"]}),
        ("required", []),
        ("required", ["a", "b"]),
        ("$defs/B", None),
        ("$defs/B/properties/n", None),
        ("$defs/B/required", []),
        ("additionalProperties", False),
        ("type", None),
        ("properties/a", {"type": "string", "maxLength": 3}),
    ],
)
def test_everything_else_needs_a_new_version(path: str, value: Any) -> None:
    assert len(schema.breaks(PUBLISHED, changed(path, value))) == 1
