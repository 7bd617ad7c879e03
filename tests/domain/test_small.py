"""The small rules: pauses, ids, subjects, kinds, reactions and counts."""

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import account, balance, compose, reactions, subjects, task
from domain.kind import Backoff, Kind
from domain.log import Recorded
from domain.record import derived_id, is_token
from domain.task import Task
from infra.clock import new_id
from tests.making import KINDS, META, NOON, asked

TOKENS = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
WRONG = ["", "a.b", "a b", "*", ">", "a*", "a>", "a\n", "\na", "a\x00", "a\x7f", "a\t", "ä", "a" * 65, "a/b", "$JS"]


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0.01, 60), st.floats(60, 3_600), st.floats(0, 1))
def test_a_pause_stays_within_its_bounds(n: int, chance: float, first: float, longest: float, jitter: float) -> None:
    backoff = Backoff(first, longest, jitter)
    pause = backoff.pause(n, chance)
    slack = timedelta(microseconds=2)
    assert timedelta(seconds=first * (1 - jitter)) - slack <= pause <= timedelta(seconds=longest * (1 + jitter)) + slack


@given(st.integers(1, 60))
def test_pauses_never_shrink(n: int) -> None:
    backoff = Backoff(1.0, 600.0)
    assert backoff.pause(n, 0.5) <= backoff.pause(n + 1, 0.5)


@given(st.uuids(), st.text(max_size=20), st.text(max_size=20))
def test_a_derived_id_follows_from_its_cause_alone(cause: UUID, name: str, other: str) -> None:
    id = derived_id(cause, name)
    assert id == derived_id(cause, name)
    assert (id.version, id.variant) == (7, "specified in RFC 4122")
    assert id.bytes[:6] == cause.bytes[:6]
    assert (derived_id(cause, other) == id) == (other == name)


@pytest.mark.parametrize("wrong", WRONG)
def test_what_could_widen_a_subject_is_refused(wrong: str) -> None:
    assert not is_token(wrong)
    for parts in ((wrong, "kind", "queued"), ("queue", wrong, "queued"), ("queue", "kind", wrong)):
        with pytest.raises(ValueError, match="cannot be a token"):
            subjects.of_task(*parts, UUID(int=1))
    with pytest.raises(ValueError, match="cannot be a token"):
        subjects.of_event(wrong, "placed", UUID(int=1))
    with pytest.raises(ValueError, match="cannot be a token"):
        Kind(name=wrong, request=dict, result=dict)
    with pytest.raises(ValueError, match="cannot be a token"):
        Kind(name="email", queue=wrong, request=dict, result=dict)


@given(TOKENS, TOKENS)
def test_subjects_are_made_of_tokens(queue: str, kind: str) -> None:
    id = UUID(int=1)
    assert subjects.of_task(queue, kind, "queued", id) == f"tasks.v1.{queue}.{kind}.queued.{id}"
    assert subjects.of_event(queue, kind, id) == f"events.v1.{queue}.{kind}.{id}"


def test_a_sign_up_causes_one_welcome_however_often_it_is_told() -> None:
    id = new_id()
    facts = compose.of_thing(id, 0, account.register(account.Account(), "a@b.org", "Ada"), META, NOON, new_id)
    one, two = (compose.entry(facts, KINDS, NOON, new_id) for _ in range(2))
    assert (
        [pair[0] for pair in one.tasks] == [pair[0] for pair in two.tasks] == [f[0] for f in reactions.follow(facts[0])]
    )
    [(_, state)] = one.tasks
    assert (state.kind, state.request, state.status) == ("email_welcome", {"account": str(id)}, task.Status.QUEUED)
    assert one.facts[1].meta.causation_id == facts[0].id and one.facts[1].meta.correlation_id == META.correlation_id


def test_an_account_is_registered_once() -> None:
    known = account.fold([(account.Registered(email="a@b.org", name="Ada"), NOON)])
    assert account.register(known, "a@b.org", "Ada") == []


def test_the_balance_counts_what_was_accepted_and_how_it_ended() -> None:
    later = [task.Queued(), task.Completed(result=1), task.Cancelled(by="ops"), task.Retried(task=new_id())]
    facts, _ = compose.of_task(new_id(), Task(), [task.Queued(asked=asked()), *later], META, NOON, new_id)
    recorded = [Recorded(position, fact) for position, fact in enumerate(facts, 1)]
    assert balance.counts(recorded) == {"accepted": 1, "complete": 1, "cancelled": 1}
