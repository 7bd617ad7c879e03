"""What follows from what: a fact, and the tasks that it causes. They are written in the same transaction."""

from uuid import UUID

from domain import account, email
from domain.log import Fact
from domain.record import derived_id

Follow = tuple[UUID, str, dict[str, object]]  # the task's id, its kind, its request


def follow(fact: Fact) -> list[Follow]:
    """The tasks that the fact causes. Their ids derive from the fact's, so that the same fact causes them once."""
    match fact.event:
        case account.Registered():
            return [_task(fact, email.KIND.name, {"account": fact.stream.removeprefix("account-")})]
        case _:
            return []


def _task(fact: Fact, kind: str, request: dict[str, object]) -> Follow:
    return derived_id(fact.id, kind), kind, request
