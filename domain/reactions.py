"""What follows from what: a fact, and the tasks that it causes. They are written in the same transaction."""

from dataclasses import dataclass
from uuid import UUID

from domain import account, analytics, confirmation, email, order, warehouse
from domain.log import Fact
from domain.record import derived_id


@dataclass(frozen=True, slots=True)
class Follow:
    """A task that a fact causes; it waits until those that it `needs` are complete."""

    id: UUID
    kind: str
    request: dict[str, object]
    needs: tuple[UUID, ...] = ()


def follow(fact: Fact) -> list[Follow]:
    """The tasks that the fact causes. Their ids derive from the fact's, so that the same fact causes them once."""
    match fact.event:
        case account.Registered():
            return [_task(fact, email.KIND.name, {"account": _thing(fact)})]
        case order.Confirmed():
            kinds = (confirmation.KIND.name, warehouse.KIND.name, analytics.KIND.name)
            return _chain(fact, kinds, {"order": _thing(fact)})
        case _:
            return []


def _task(fact: Fact, kind: str, request: dict[str, object], *needs: Follow) -> Follow:
    return Follow(derived_id(fact.id, kind), kind, request, tuple(need.id for need in needs))


def _chain(fact: Fact, kinds: tuple[str, ...], request: dict[str, object]) -> list[Follow]:
    """Strictly one after the other: each needs the one before it."""
    chain: list[Follow] = []
    for kind in kinds:
        chain.append(_task(fact, kind, request, *chain[-1:]))
    return chain


def _thing(fact: Fact) -> str:
    """The id of the thing whose stream the fact stands in."""
    return fact.stream.partition("-")[2]
