"""What tasks need before they begin: tasks that are there, or others of the same batch."""

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from uuid import UUID

from adapters.http.desk import Call, desk
from adapters.http.problems import invalid
from adapters.http.shape import Flaw, flaw
from adapters.http.wish import Wish

Needs = tuple[UUID, ...]


async def needs_of(request: Call, wishes: Sequence[Wish], ids: Sequence[UUID]) -> list[Needs]:
    """The needs of each wish as ids; `ids` are those that the new tasks will have. Raises Problem for a task that is
    unknown or not the caller's to see, and for tasks of a batch that need one another."""
    if not any(wanted.needs for wanted in wishes):
        return [()] * len(wishes)
    known = await _known(request, wishes)
    flaws: list[Flaw] = []
    found: list[Needs] = []
    for wanted in wishes:
        resolved = [_resolved(need, ids, known) for need in wanted.needs]
        flaws += [
            flaw(f"{wanted.pointer}/needs/{number}", _unknown(need))
            for number, (need, one) in enumerate(zip(wanted.needs, resolved, strict=True))
            if one is None
        ]
        found.append(tuple(dict.fromkeys(one for one in resolved if one is not None)))
    flaws = flaws or _cycle(wishes, ids, found)
    if flaws:
        raise invalid(flaws)
    return found


async def _known(request: Call, wishes: Sequence[Wish]) -> frozenset[UUID]:
    """Those of the named tasks that exist and that this key may know of."""
    asked = {id for wanted in wishes for need in wanted.needs if (id := _uuid(need)) is not None}
    seen = await desk(request).service.queries.seen(sorted(asked))
    return frozenset(one.id for one in seen if request.user.sees(one.task.by))


def _resolved(need: str, ids: Sequence[UUID], known: frozenset[UUID]) -> UUID | None:
    if need.startswith("/"):
        number = need[1:]
        plain = number.isascii() and number.isdigit() and len(number) <= 4
        return ids[int(number)] if plain and len(ids) > 1 and int(number) < len(ids) else None
    id = _uuid(need)
    return id if id in known else None


def _cycle(wishes: Sequence[Wish], ids: Sequence[UUID], found: Sequence[Needs]) -> list[Flaw]:
    """Tasks that wait for one another would wait for ever."""
    numbers: Mapping[UUID, int] = {id: number for number, id in enumerate(ids)}
    inside = {number: [numbers[need] for need in needs if need in numbers] for number, needs in enumerate(found)}
    try:
        TopologicalSorter(inside).prepare()
    except CycleError as error:
        circle = list(reversed(error.args[1]))
        told = " needs ".join(f"/{number}" for number in circle)
        return [flaw(f"{wishes[circle[0]].pointer}/needs", f"These tasks wait for one another: {told}")]
    return []


def _uuid(need: str) -> UUID | None:
    try:
        return UUID(need) if len(need) == 36 else None
    except ValueError:
        return None


def _unknown(need: str) -> str:
    return f"There is no task {need[:64]!r}: name one by its id, or in a batch by the pointer to its item, such as '/0'"
