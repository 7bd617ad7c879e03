"""The one way in which the REST API writes: the answer is composed first and stored with what it tells of.

An Idempotency-Key makes a request once: whoever repeats it gets the first answer again, byte for byte."""

import re
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response

from adapters.http.origin import headers
from adapters.http.problems import Problem
from adapters.http.service import Service
from adapters.http.shown import told
from domain import compose
from domain.access import Key
from domain.log import Answer, Conflict, Entry, Once, Replayed
from domain.record import Value
from domain.task import Status

VISIBLE = re.compile(r"[\x21-\x7e]{1,255}")
TRIES = 5
CANONICAL = msgspec.json.Encoder(order="sorted")


class Claim(Value, frozen=True):
    """An idempotency key as a request uses it, before there is an answer."""

    holder: str
    route: str
    key: str
    fingerprint: bytes

    def once(self, answer: Answer) -> Once:
        return Once(self.holder, self.route, self.key, self.fingerprint, answer)


def claim(request: Request[Key, Any, Any], body: Any) -> Claim | None:
    """The request's Idempotency-Key, scoped by its holder and route; `body` is the decoded JSON. Raises Problem."""
    lines = headers(request.scope, b"idempotency-key")
    if not lines:
        return None
    if len(lines) > 1:
        raise Problem("bad-idempotency-key", f"Send one, not {len(lines)}.")
    given = lines[0]
    key = given[1:-1] if len(given) >= 2 and given[0] == given[-1] == '"' else given
    if not VISIBLE.fullmatch(key):
        raise Problem("bad-idempotency-key", "It must be 1 to 255 visible ASCII characters.")
    fingerprint = sha256(b"\n".join((b"POST", request.url.path.encode(), CANONICAL.encode(body)))).digest()
    return Claim(request.user.name, request.scope["path_template"], key, fingerprint)


async def write(service: Service, entry: Entry, answer: Answer, claimed: Claim | None) -> Response[bytes]:
    """Append the entry together with its answer, ring, and give the answer.

    Raises Conflict where the entry rests on what is no longer so: see `decide`."""
    try:
        await service.log.append(compose.once(entry, claimed.once(answer) if claimed else None))
    except Replayed as first:
        assert claimed is not None, "Only an idempotency key can be used before."
        return replayed(claimed, first.fingerprint, first.answer)
    service.ring(_queued(entry))
    return told(answer)


async def decide(attempt: Callable[[], Awaitable[Response[bytes]]]) -> Response[bytes]:
    """Read, decide and write; where somebody else wrote first, read and decide again."""
    for _ in range(TRIES - 1):
        try:
            return await attempt()
        except Conflict:
            continue
    return await attempt()


async def answered(service: Service, claimed: Claim | None) -> Response[bytes] | None:
    """The first answer, where the key was used before: for requests that find nothing left to decide."""
    if claimed is None:
        return None
    first = await service.queries.answer(claimed.holder, claimed.route, claimed.key)
    return replayed(claimed, *first) if first else None


def replayed(claimed: Claim, fingerprint: bytes, answer: Answer) -> Response[bytes]:
    """Raises Problem where the key was used for another request."""
    if fingerprint != claimed.fingerprint:
        raise Problem("key-reused", "This Idempotency-Key was used for a request with another body or path.")
    return told(answer, {"Idempotency-Replayed": "true"})


def _queued(entry: Entry) -> dict[str, list[UUID]]:
    queues: dict[str, list[UUID]] = {}
    for id, task in entry.tasks:
        if task.status is Status.QUEUED:
            queues.setdefault(task.queue, []).append(id)
    return queues
