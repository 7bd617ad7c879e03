"""How things look from outside: the JSON of a task, its ETag, answers."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID
from zlib import crc32

import msgspec
from litestar import Request, Response

from adapters.http.plain import Plain
from adapters.http.problems import Problem
from domain.log import Answer, stream_of
from domain.outcome import Error, Progress
from domain.task import CancelRequest, Status, Task
from domain.views import Glance, Seen

ENCODER = msgspec.json.Encoder()


class TaskShown(msgspec.Struct, kw_only=True):
    id: UUID
    kind: str
    queue: str
    status: Status
    attempt: int
    max_attempts: int
    progress: Progress | None
    request: dict[str, Any]
    result: Any
    error: Error | None
    created_at: datetime | None
    due_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    by: str
    needs: list[UUID] = []
    retry_of: UUID | None
    retried_as: UUID | None
    cancel_requested: CancelRequest | None
    stream: str
    position: int | None  # of its latest fact; null until the relay has numbered it
    links: dict[str, str]


class Accepted(TaskShown, kw_only=True):
    """A task together with what was written for it."""

    tasks: list[UUID]
    events: list[UUID]


COPIED = tuple(name for name in TaskShown.__struct_fields__ if name in Task.__struct_fields__)


def shown(seen: Seen) -> dict[str, Any]:
    """The fields of TaskShown."""
    task, here = seen.task, f"/v1/tasks/{seen.id}"
    links = {"self": here} | {name: f"{here}/{name}" for name in ("history", "stream", "cancel", "retry")}
    values = {name: getattr(task, name) for name in COPIED}
    return values | {
        "id": seen.id,
        "request": task.request | task.personal,
        "stream": stream_of("task", seen.id),
        "position": seen.position,
        "links": links,
    }


def task_json(seen: Seen) -> bytes:
    return ENCODER.encode(TaskShown(**shown(seen)))


def accepted_json(seen: Seen, tasks: Sequence[UUID], events: Sequence[UUID]) -> bytes:
    return ENCODER.encode(Accepted(**shown(seen), tasks=list(tasks), events=list(events)))


def etag(version: int, progress: Progress | None = None) -> str:
    """Changes with every fact and with fine progress. That a fact got its position changes nothing."""
    return f'"{version}"' if progress is None else f'"{version}-{crc32(ENCODER.encode(progress)):08x}"'


def etag_of(task: Glance | Task) -> str:
    return etag(task.version, task.progress)


def strong_tags(request: Request[Any, Any, Any], header: str) -> frozenset[str] | None:
    """The ETags of If-Match, None without one. They are compared strongly (RFC 9110 13.1.1): W/"1" is not "1"."""
    lines = request.headers.getall(header, [])
    return frozenset(tag.strip() for line in lines for tag in line.split(",")) if lines else None


def tags(request: Request[Any, Any, Any], header: str) -> frozenset[str]:
    """The ETags of If-None-Match, compared weakly; `*` stands for itself."""
    return frozenset(tag.removeprefix("W/") for tag in strong_tags(request, header) or () if tag)


def matches(tag: str, given: Iterable[str]) -> bool:
    return tag in given or "*" in given


def ok(value: Any, headers: Mapping[str, str] | None = None, status: int = 200) -> Response[bytes]:
    """An answer; bytes are JSON already."""
    body = value if isinstance(value, bytes) else ENCODER.encode(value)
    return Plain(body, status, headers or {}, "application/json")


def told(answer: Answer, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """What a writing caller is told, the first time and when it asks again with the same key."""
    known = {"Location": answer.location} if answer.location else {}
    later = {"Retry-After": "1"} if answer.status == 202 else {}
    return ok(answer.body, known | later | dict(headers or {}), answer.status)


def id_of(text: str) -> UUID:
    """An id out of a path. Raises Problem: what is no UUID is the id of nothing."""
    try:
        if len(text) == 36:
            return UUID(text)
    except ValueError:
        pass
    raise Problem("not-found", f"There is nothing with the id {text[:64]!r}.")
