"""What videos, images and reports have in common: they are folded out of their facts, made by tasks, and deleted."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

import msgspec
from litestar import Response

from adapters.http import examples
from adapters.http.described import Reply, described
from adapters.http.desk import Call, desk
from adapters.http.origin import meta
from adapters.http.problems import Problem
from adapters.http.shown import ENCODER
from adapters.http.things import read, written
from adapters.http.write import answered, claim, decide, write
from domain import compose
from domain.log import Answer, Recorded


class Deletable(Protocol):
    @property
    def deleted_at(self) -> datetime | None: ...

    @property
    def version(self) -> int: ...


T = TypeVar("T", bound=Deletable)


class Removal(msgspec.Struct, kw_only=True):
    """What removes it, and what was written for that."""

    id: UUID
    tasks: list[UUID]
    events: list[UUID]


def removal(operation: str, group: str, id: UUID) -> dict[str, Any]:
    """The `opt` of the route that deletes one; see `described`."""
    example = {"id": id, "tasks": [examples.TASK_ID], "events": [examples.EVENT_ID]}
    reply = Reply(Removal, example, ["Location", "Retry-After"])
    return described(operation, group, {202: reply}, problems=["gone", "conflict"])


@dataclass(frozen=True, slots=True)
class Made(Generic[T]):
    """One sort of them."""

    category: str  # of its streams
    event: Any  # the types of its events
    fold: Callable[[Iterable[tuple[Any, datetime]]], T]
    end: Callable[[T], Sequence[Any]]  # the events by which it is deleted

    def folded(self, recorded: Sequence[Recorded]) -> T:
        return self.fold((one.fact.event, one.fact.at) for one in recorded if isinstance(one.fact.event, self.event))

    def id(self, recorded: Sequence[Recorded]) -> UUID:
        return UUID(recorded[0].fact.stream.removeprefix(f"{self.category}-"))

    async def present(self, request: Call, id: UUID) -> Sequence[Recorded]:
        """Raises Problem where there is none, or it was deleted."""
        recorded = await read(request, self.category, id)
        self.require_present(id, self.folded(recorded))
        return recorded

    def require_present(self, id: UUID, found: T) -> None:
        """Raises Problem where it was deleted."""
        if found.deleted_at is not None:
            raise Problem("gone", f"The {self.category} {id} was deleted.", deleted_at=found.deleted_at)

    async def delete(self, request: Call, id: UUID) -> Response[bytes]:
        """Deleted at once; the task that removes what was made is named."""

        async def attempt() -> Response[bytes]:
            service, recorded = desk(request).service, await read(request, self.category, id)
            found, claimed, now = self.folded(recorded), claim(request, {}), service.now()
            if found.deleted_at is not None and (first := await answered(service, claimed)) is not None:
                return first
            self.require_present(id, found)
            events = self.end(found)
            facts = compose.of_thing(id, found.version, events, meta(request, service), now, service.new_id)
            entry = compose.entry(facts, dict(service.kinds), now, service.new_id)
            told = Answer(202, ENCODER.encode({"id": id} | written(entry)), f"/v1/tasks/{entry.tasks[0][0]}")
            return await write(service, entry, told, claimed)

        return await decide(attempt)
