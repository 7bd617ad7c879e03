"""What tests are made of: kinds, requests, facts and entries."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert

from adapters.postgres.database import Database
from adapters.postgres.keys import hash_of
from adapters.postgres.tables import keys
from domain import compose, email, probe, task
from domain.holding import Change
from domain.kind import AnyKind, Backoff, Kind
from domain.log import Answer, Entry, Fact, Meta, Once
from domain.task import Asked, Task
from infra.clock import new_id

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KIND = Kind(name="probe", request=probe.Request, result=probe.Result, max_attempts=3, backoff=Backoff(1.0, 8.0, 0.2))
KINDS: dict[str, AnyKind] = {"probe": KIND, "email_welcome": email.KIND}
NO_TOKENS = ["", "a.b", "a b", "*", ">", "a*", "a>", "a\n", "\na", "a\x00", "a\x7f", "a\t", "ä", "a" * 65, "a/b", "$JS"]
META = Meta(actor="client", request_id="r-1", correlation_id="c-1", traceparent="00-1-1-01")


def asked(
    request: dict[str, Any] | None = None, kind: AnyKind = KIND, by: str = "client", needs: tuple[UUID, ...] = ()
) -> Asked:
    return compose.asked(kind, request or {}, by, needs)


def new_task(
    request: dict[str, Any] | None = None,
    at: datetime = NOON,
    due_at: datetime | None = None,
    once: Once | None = None,
    kind: AnyKind = KIND,
    id: UUID | None = None,
    needs: tuple[UUID, ...] = (),
) -> tuple[UUID, Entry]:
    """A task and the entry that asks for it."""
    id = id or new_id()
    facts, state = compose.new_task(id, asked(request, kind, needs=needs), META, at, new_id, due_at)
    return id, Entry(facts, ((id, state),), once=once)


def once(key: str = "k", body: bytes = b"{}", fingerprint: bytes = b"same") -> Once:
    return Once("client", "POST /v1/tasks", key, fingerprint, Answer(202, body, "/v1/tasks/1"))


def facts(id: UUID, before: Task, events: Sequence[task.Event], at: datetime = NOON) -> tuple[tuple[Fact, ...], Task]:
    return compose.of_task(id, before, events, META, at, new_id)


def entry(id: UUID, before: Task, events: Sequence[task.Event], at: datetime = NOON) -> Entry:
    """Decided about a task that exists, as the REST API writes it."""
    written, after = facts(id, before, events, at)
    return Entry(written, changed=((id, after),))


def change(id: UUID, before: Task, events: Sequence[task.Event], at: datetime = NOON, **fences: Any) -> Change:
    """Decided about a task that exists, as its holder or the lifeline writes it."""
    written, after = facts(id, before, events, at)
    return Change(id, after, written, **fences)


async def key(database: Database, name: str, scope: str, secret: str) -> None:
    """A key without its fact in the log, so that positions and counts of a test are its own."""
    async with database.core() as connection:
        made = insert(keys).values(name=name, scope=scope, hash=hash_of(secret))
        await connection.execute(made.on_conflict_do_update(index_elements=["name"], set_={"revoked_at": None}))
