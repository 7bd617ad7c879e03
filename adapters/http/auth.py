"""Who calls, and whether they may: asked before every route that has a right of its own."""

import time
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

from litestar import Request

from adapters.http.origin import header
from adapters.http.problems import Problem
from domain.access import Key, Right

REMEMBERED_S = 10.0  # a revoked key is believed for so long
MOST_REMEMBERED = 10_000
RIGHT = "right"
Find = Callable[[bytes], Awaitable[Key | None]]


def needs(right: Right) -> dict[str, Any]:
    """The `opt` of a route that only keys with this right may call."""
    return {RIGHT: right}


PATIENT = {"patient": True}
"""The `opt` of a route that believes a key which was good when Postgres last answered, for as long as it does not."""


class Guard:
    """Finds the key by its hash, and remembers it for a while. Unknown keys are not remembered.

    It is none of Litestar's guards: for each of these the whole handler is copied with every request."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._known: dict[bytes, tuple[float, Key]] = {}

    async def __call__(self, request: Request[Any, Any, Any]) -> None:
        """Puts the key into `request.user`. Raises Problem: 401 without a valid key, 403 without the right."""
        asked = request.route_handler.opt
        right = asked.get(RIGHT)
        if right is None:
            return
        key = await self._key(secret_of(request), patient="patient" in asked)
        if not key.may(right):
            raise Problem("forbidden", f"The key {key.name!r} has the scope {key.scope}, which may not {right}.")
        request.scope["user"] = key

    async def _key(self, secret: str, patient: bool) -> Key:
        hash = sha256(secret.encode()).digest()
        until, known = self._known.get(hash, (0.0, None))
        if known is not None and until >= time.monotonic():
            return known
        try:
            found = await self._find(hash)
        except Exception:
            if patient and known is not None:
                return known
            raise
        if found is None:
            self._known.pop(hash, None)
            raise Problem("unauthorized", "This key is unknown, or was revoked.")
        self._remember(hash, found)
        return found

    def _remember(self, hash: bytes, key: Key) -> None:
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[hash] = time.monotonic() + REMEMBERED_S, key


def secret_of(request: Request[Any, Any, Any]) -> str:
    """The secret of the key that was sent. Raises Problem where there is none."""
    scheme, _, secret = (header(request.scope, b"authorization") or "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Problem("unauthorized", "Send a key: Authorization: Bearer <key>.")
    return secret.strip()
