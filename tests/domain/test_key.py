"""The story of a key, as a table: what was, what is wanted, what follows."""

import pytest

from domain import key
from domain.key import Event, Issued, Key, Revoked, Rotated
from tests.making import NO_TOKENS

NONE = Key()
HELD = key.fold([Issued(name="bot", scope="client")])
ENDED = key.fold([Issued(name="bot", scope="client"), Rotated(), Revoked()])


@pytest.mark.parametrize(
    ("before", "after"),
    [(NONE, [Issued(name="bot", scope="client")]), (HELD, []), (ENDED, [])],
    ids=["a new name", "a name in use", "a name that was revoked"],
)
def test_a_name_is_given_once(before: Key, after: list[Event]) -> None:
    assert key.issue(before, "bot", "client") == after


@pytest.mark.parametrize(("before", "rotated"), [(NONE, []), (HELD, [Rotated(grace_s=5.0)]), (ENDED, [])])
def test_only_a_key_that_is_valid_gets_another_secret(before: Key, rotated: list[Event]) -> None:
    assert key.rotate(before, 5.0) == rotated


@pytest.mark.parametrize(("before", "after"), [(NONE, []), (HELD, [Revoked()]), (ENDED, [])])
def test_a_key_is_revoked_once(before: Key, after: list[Event]) -> None:
    assert key.revoke(before) == after


def test_a_key_is_what_its_stream_tells() -> None:
    assert Key(version=1, name="bot", scope="client", revoked=False) == HELD
    assert Key(version=3, name="bot", scope="client", revoked=True) == ENDED


def test_the_same_name_is_the_same_key_and_another_is_not() -> None:
    assert key.id_of("bot") == key.id_of("bot") != key.id_of("bots")
    assert key.id_of("bot").version == 7


@pytest.mark.parametrize("name", [*NO_TOKENS, "system"])
def test_names_that_are_no_tokens_or_mean_the_program_itself_are_refused(name: str) -> None:
    assert not key.may_be_called(name)


@pytest.mark.parametrize("name", ["bot", "build-bot_2", "a" * 64])
def test_other_names_are_taken(name: str) -> None:
    assert key.may_be_called(name)
