"""Between facts and rows."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec

from domain import catalogue
from domain.log import Fact, Meta, Recorded
from domain.mirror import Stored
from domain.outcome import Error, Progress
from domain.task import CancelRequest, Status, Task

ENCODER = msgspec.json.Encoder()
META = msgspec.json.Decoder(Meta)
UNREADABLE = (catalogue.UnknownEvent, ValueError, RecursionError, LookupError, TypeError, AttributeError)
"""What decoding raises where something came in by no door of ours; msgspec's errors are ValueErrors."""
Row = Any  # a row of asyncpg or of SQLAlchemy: read by column name


def text(value: object) -> str:
    """JSON as Postgres takes it."""
    return ENCODER.encode(value).decode()


def optional(value: object) -> str | None:
    """JSON, or NULL for None."""
    return None if value is None else text(value)


def uuid(value: Any) -> UUID:
    """An id as the domain knows it; asyncpg has a type of its own."""
    return msgspec.convert(value.bytes, UUID)


def meta(meta: Meta) -> str:
    """Only what is known: no nulls are stored."""
    return text({name: value for name, value in msgspec.structs.asdict(meta).items() if value is not None})


def fact_columns(fact: Fact) -> tuple[Any, ...]:
    """id, stream, version, name, name_version, at, subject, data, personal, meta"""
    name, data, personal = catalogue.dump(fact.event)
    return (
        fact.id,
        fact.stream,
        fact.version,
        name,
        catalogue.version_of(name),
        fact.at,
        fact.subject,
        data.decode(),
        personal.decode() if personal is not None else None,
        meta(fact.meta),
    )


def array(ids: Sequence[UUID]) -> str | None:
    """Ids as the text of an array, NULL for none: unnest flattens arrays of arrays."""
    return "{" + ",".join(map(str, ids)) + "}" if ids else None


def transposed(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Rows as the columns of an unnest."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def recorded(row: Iterable[Any]) -> Recorded:
    """A fact with its position: the row is that, and the columns of the table `events`, in their order.

    Raises UnknownEvent where a newer program wrote it."""
    position, id, stream, version, name, name_version, at, subject, data, personal, meta = row
    event = catalogue.load(name, name_version, data, personal)
    return Recorded(position, Fact(uuid(id), stream, version, at, event, META.decode(meta), subject))


def stored(row: Row) -> Stored:
    """A fact as the mirror carries it."""
    told = META.decode(row["meta"])
    return Stored(
        row["position"],
        str(row["id"]),
        row["stream"],
        row["version"],
        row["name"],
        row["name_version"],
        row["at"],
        row["subject"],
        row["data"].encode(),
        told.correlation_id,
        str(told.causation_id) if told.causation_id else None,
        told.traceparent,
    )


def task(row: Row) -> Task:
    """A task's row as the folded state."""
    return Task(
        status=Status(row["status"]),
        version=row["version"],
        kind=row["kind"],
        queue=row["queue"],
        request=_json(row["request"]) or {},
        personal=_json(row["personal"]) or {},
        max_attempts=row["max_attempts"],
        attempt=row["attempt"],
        stumbles=row["stumbles"],
        lost=row["lost"],
        turn=row["turn"],
        worker=row["worker"],
        progress=_as(Progress, row["progress"]),
        result=_json(row["result"]),
        error=_as(Error, row["error"]),
        created_at=row["created_at"],
        due_at=row["due_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        by=row["by"],
        needs=tuple(uuid(need) for need in row["needs"] or ()),
        retry_of=_uuid(row["retry_of"]),
        retried_as=_uuid(row["retried_as"]),
        cancel_requested=_as(CancelRequest, row["cancel_requested"]),
    )


def _json(value: str | None) -> Any:
    return None if value is None else msgspec.json.decode(value)


def _as(kind: Any, value: str | None) -> Any:
    return None if value is None else msgspec.json.decode(value, type=kind)


def _uuid(value: Any) -> UUID | None:
    return None if value is None else uuid(value)
