"""Under which subjects are facts told?"""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import subjects
from tests.making import NO_TOKENS

TOKENS = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)


@pytest.mark.parametrize("wrong", NO_TOKENS)
def test_what_could_widen_a_subject_is_refused(wrong: str) -> None:
    for parts in ((wrong, "kind", "queued"), ("queue", wrong, "queued"), ("queue", "kind", wrong)):
        with pytest.raises(ValueError, match="cannot be a token"):
            subjects.of_task(*parts, UUID(int=1))
    with pytest.raises(ValueError, match="cannot be a token"):
        subjects.of_event(wrong, "placed", UUID(int=1))


@given(TOKENS, TOKENS)
def test_subjects_are_made_of_tokens(queue: str, kind: str) -> None:
    id = UUID(int=1)
    assert subjects.of_task(queue, kind, "queued", id) == f"tasks.v1.{queue}.{kind}.queued.{id}"
    assert subjects.of_event(queue, kind, id) == f"events.v1.{queue}.{kind}.{id}"
