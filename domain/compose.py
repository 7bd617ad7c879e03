"""From decisions to entries: facts get their ids, their places in their streams, and the tasks that follow."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from domain import catalogue, subjects, task
from domain.kind import AnyKind
from domain.log import Entry, Event, Fact, Meta, Once, stream_of
from domain.reactions import follow
from domain.record import split
from domain.task import Asked, Task

NewId = Callable[[], UUID]


def asked(kind: AnyKind, request: dict[str, object], by: str, needs: tuple[UUID, ...] = ()) -> Asked:
    """The request of a task, its personal part apart."""
    rest, personal = split(request, kind.personal)
    return Asked(
        kind=kind.name,
        queue=kind.queue,
        request=rest,
        personal=personal,
        max_attempts=kind.max_attempts,
        by=by,
        needs=needs,
    )


def of_task(
    id: UUID, before: Task, events: Sequence[task.Event], meta: Meta, now: datetime, new_id: NewId
) -> tuple[tuple[Fact, ...], Task]:
    """The facts that follow `before` in the task's stream, and the task after them."""
    facts, after = [], before
    for event in events:
        after = task.evolve(after, event, now)
        name = catalogue.NAMES[type(event)].partition(".")[2]
        subject = subjects.of_task(after.queue, after.kind, name, id)
        facts.append(Fact(new_id(), stream_of("task", id), after.version, now, event, meta, subject))
    return tuple(facts), after


def of_thing(
    id: UUID, version: int, events: Sequence[Event], meta: Meta, now: datetime, new_id: NewId
) -> tuple[Fact, ...]:
    """The facts that follow `version` in the stream of an account, an order, …"""
    facts = []
    for after, event in enumerate(events, version + 1):
        category, _, name = catalogue.NAMES[type(event)].partition(".")
        subject = subjects.of_event(category, name, id)
        facts.append(Fact(new_id(), stream_of(category, id), after, now, event, meta, subject))
    return tuple(facts)


def new_task(
    id: UUID, request: Asked, meta: Meta, now: datetime, new_id: NewId, due_at: datetime | None = None
) -> tuple[tuple[Fact, ...], Task]:
    """The first fact of a task."""
    return of_task(id, Task(), task.ask(Task(), request, now, due_at), meta, now, new_id)


def entry(
    facts: Sequence[Fact],
    kinds: dict[str, AnyKind],
    now: datetime,
    new_id: NewId,
    once: Once | None = None,
    by: str | None = None,
) -> Entry:
    """The facts together with the tasks that they cause: those of `by`, else of whoever is behind the fact."""
    all_facts, tasks = list(facts), []
    for fact in facts:
        for one in follow(fact):
            request = asked(kinds[one.kind], one.request, by or fact.meta.actor, one.needs)
            more, state = new_task(one.id, request, caused(fact), now, new_id)
            all_facts += more
            tasks.append((one.id, state))
    return Entry(tuple(all_facts), tuple(tasks), once=once)


def joined(entries: Sequence[Entry]) -> Entry:
    """Several entries as one: all of them, or none."""
    return Entry(
        tuple(fact for entry in entries for fact in entry.facts),
        tuple(pair for entry in entries for pair in entry.tasks),
        tuple(pair for entry in entries for pair in entry.changed),
    )


def once(entry: Entry, once: Once | None) -> Entry:
    return replace(entry, once=once)


def caused(fact: Fact) -> Meta:
    """The meta of what follows from a fact."""
    meta = fact.meta
    return Meta(
        actor=meta.actor,
        address=meta.address,
        request_id=meta.request_id,
        correlation_id=meta.correlation_id,
        causation_id=fact.id,
        traceparent=meta.traceparent,
    )
