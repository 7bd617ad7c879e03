"""Which ids follow from others, and what may be a token?"""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.record import derived_id, is_token
from tests.making import NO_TOKENS


@given(st.uuids(), st.text(max_size=20), st.text(max_size=20))
def test_a_derived_id_follows_from_its_cause_alone(cause: UUID, name: str, other: str) -> None:
    id = derived_id(cause, name)
    assert id == derived_id(cause, name)
    assert (id.version, id.variant) == (7, "specified in RFC 4122")
    assert id.bytes[:6] == cause.bytes[:6]
    assert (derived_id(cause, other) == id) == (other == name)


@pytest.mark.parametrize("wrong", NO_TOKENS)
def test_what_could_widen_a_subject_is_no_token(wrong: str) -> None:
    assert not is_token(wrong)
