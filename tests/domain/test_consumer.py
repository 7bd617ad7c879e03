"""Which consumers can there be, and which of their filters can match anything?"""

import re

import pytest

from domain import consumer
from domain.consumer import Added, Consumer, Removed
from tests.making import NOON


@pytest.mark.parametrize(
    "filter",
    [
        "events.v1.>",
        "events.v1.order.>",
        "events.v1.order.*.*",
        "events.v1.*.created.*",
        "events.v1.order.confirmed.01a20495-2e1a-741d-97ea-9f384675989e",
        "events.v1.order.*.>",
        "tasks.v1.>",
        "tasks.v1.*.*.completed.*",
        "tasks.v1.email.email_welcome.completed.>",
    ],
)
def test_a_filter_that_can_match_is_taken(filter: str) -> None:
    assert consumer.flaw_of_filter(filter) is None


@pytest.mark.parametrize(
    ("filter", "words"),
    [
        ("", "should begin with events.v1. or tasks.v1."),
        (">", "should begin with"),
        ("*.v1.>", "should begin with"),
        ("bells.v1.>", "should begin with"),
        ("$JS.API.>", "should begin with"),
        ("events.v2.order.>", "should begin with"),
        ("events.v1", "something should follow"),
        ("events.v1.", "'' cannot be a part of it"),
        ("events.v1.order", "subjects of events.v1 have 5 parts, and it has 3"),
        ("events.v1.order.created.x.y", "subjects of events.v1 have 5 parts, and it has 6"),
        ("events.v1.order.created.x.>", "subjects of events.v1 have 5 parts, and it has 6"),
        ("tasks.v1.email.x.completed", "subjects of tasks.v1 have 6 parts, and it has 5"),
        ("events.v1.>.created", "'>' cannot be a part of it"),
        ("events.v1.or*.created.*", "'or*' cannot be a part of it"),
        ("events.v1.order.created. ", "' ' cannot be a part of it"),
        ('events.v1.order.created."}', "cannot be a part of it"),
        ("events.v1.order.created.x\n", "cannot be a part of it"),
    ],
)
def test_a_filter_that_matches_nothing_is_refused_with_the_reason(filter: str, words: str) -> None:
    flaw = consumer.flaw_of_filter(filter)
    assert flaw is not None and words in flaw and flaw.endswith(consumer.GOOD)


@pytest.mark.parametrize("name", ["", "a.b", "a b", "*", ">", "x" * 65, 'a"', "ä", "a\n"])
def test_a_name_that_is_no_token_is_refused(name: str) -> None:
    assert consumer.flaw_of_name(name) == "a name is 1 to 64 of A-Z a-z 0-9 _ -"


@pytest.mark.parametrize(
    ("filter", "subject", "matches"),
    [
        ("events.v1.order.>", "events.v1.order.created.1", True),
        ("events.v1.order.>", "events.v1.orders.created.1", False),
        ("events.v1.*.created.*", "events.v1.item.created.1", True),
        ("events.v1.*.created.*", "events.v1.item.deleted.1", False),
        ("events.v1.>", "tasks.v1.a.b.c.d", False),
    ],
)
def test_the_pattern_says_what_the_filter_says(filter: str, subject: str, matches: bool) -> None:
    assert bool(re.search(consumer.pattern(filter), subject)) == matches


def test_adding_and_removing_twice_is_once_and_a_removed_one_may_have_another_filter() -> None:
    added = consumer.add(Consumer(), "billing", "events.v1.>")
    assert added == [Added(name="billing", filter="events.v1.>")]
    there = consumer.fold((event, NOON) for event in added)
    assert consumer.add(there, "billing", "events.v1.>") == []
    removed = consumer.remove(there, "billing")
    assert removed == [Removed(name="billing")]
    gone = consumer.fold((event, NOON) for event in (*added, *removed))
    assert gone == Consumer(version=2, filter=None) and consumer.remove(gone, "billing") == []
    assert consumer.add(gone, "billing", "tasks.v1.>") == [Added(name="billing", filter="tasks.v1.>")]


def test_a_name_is_always_the_same_consumer() -> None:
    assert consumer.id_of("billing") == consumer.id_of("billing") != consumer.id_of("shipping")
