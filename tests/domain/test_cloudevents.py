"""Is every message a CloudEvent, whatever its fact says?"""

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from domain import cloudevents
from domain.cloudevents import ALWAYS, HEADERS, headers
from domain.mirror import Stored
from tests.making import NOON

URL = "https://events.example.com"
STORED = Stored(
    position=4711,
    id="01a20495-2e1b-7d87-b4f3-ce4a2d756a28",
    stream="order-01a20495-2e1a-741d-97ea-9f384675989e",
    version=2,
    name="order.confirmed",
    name_version=1,
    at=NOON,
    subject="events.v1.order.confirmed.01a20495-2e1a-741d-97ea-9f384675989e",
    data=b"{}",
    correlation_id="cart 12",
    causation_id="01a20495-0000-7d87-b4f3-ce4a2d756a28",
    traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
)


def test_a_fact_is_told_with_all_its_attributes() -> None:
    assert headers(STORED, "epoch-1", URL) == {
        "ce-specversion": "1.0",
        "ce-id": STORED.id,
        "ce-source": "/postcommit",
        "ce-type": "order.confirmed.v1",
        "ce-subject": STORED.stream,
        "ce-time": NOON.isoformat().replace("+00:00", "Z"),
        "ce-dataschema": f"{URL}/schemas/order.confirmed/1",
        "ce-sequence": "2",
        "ce-position": "4711",
        "ce-correlationid": "cart%2012",
        "ce-causationid": STORED.causation_id,
        "content-type": "application/json",
        "Postcommit-Epoch": "epoch-1",
        "traceparent": STORED.traceparent,
    }


def test_what_is_not_known_is_left_out() -> None:
    bare = replace(STORED, correlation_id=None, causation_id=None, traceparent=None)
    told = headers(bare, "epoch-1", URL)
    assert told.keys() == {*ALWAYS, "ce-dataschema"}
    assert told.keys() <= HEADERS.keys()


def test_names_of_attributes_are_as_cloudevents_wants_them() -> None:
    names = [name.removeprefix("ce-") for name in HEADERS if name.startswith("ce-")]
    assert all(re.fullmatch("[a-z0-9]{1,20}", name) for name in names) and len(names) > 8


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
        ('say "100 %"', "say%20%22100%20%25%22"),
        ("a\r\nNats-Msg-Id: x", "a%0D%0ANats-Msg-Id:%20x"),
        ("plain/~!", "plain/~!"),
    ],
)
def test_what_a_header_may_not_hold_is_percent_encoded(value: str, told: str) -> None:
    assert cloudevents.encoded(value) == told


@given(st.text(st.characters(codec="utf-8")))
def test_every_text_comes_back_and_none_breaks_the_header(value: str) -> None:
    told = cloudevents.encoded(value)
    assert unquote(told) == value and all("!" <= letter <= "~" for letter in told)
