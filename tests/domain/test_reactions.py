"""What follows from what?"""

from domain import account, compose, reactions, task
from infra.clock import new_id
from tests.making import KINDS, META, NOON


def test_a_sign_up_causes_one_welcome_however_often_it_is_told() -> None:
    id = new_id()
    facts = compose.of_thing(id, 0, account.register(account.Account(), "a@b.org", "Ada"), META, NOON, new_id)
    one, two = (compose.entry(facts, KINDS, NOON, new_id) for _ in range(2))
    assert (
        [pair[0] for pair in one.tasks]
        == [pair[0] for pair in two.tasks]
        == [one.id for one in reactions.follow(facts[0])]
    )
    [(_, state)] = one.tasks
    assert (state.kind, state.request, state.status) == ("email_welcome", {"account": str(id)}, task.Status.QUEUED)
    assert one.facts[1].meta.causation_id == facts[0].id and one.facts[1].meta.correlation_id == META.correlation_id
