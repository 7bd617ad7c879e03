"""Requests that are sent until there is an answer: the API may die at any of them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx

from infra.clock import new_id

PATIENCE_S, AGAIN_S = 60.0, 0.05
UNSURE = (409, 429)  # and all from 500 on: the same request is sent again


class Unanswered(Exception):
    """There was no answer in time, or a refusal; the message says which."""


async def answer(
    client: httpx.AsyncClient, method: str, path: str, known: tuple[int, ...] = (), **how: Any
) -> httpx.Response:
    """The first answer of the 200s, or one of the statuses that are `known`. Raises Unanswered."""
    deadline, last = time.monotonic() + PATIENCE_S, "nothing"
    while time.monotonic() < deadline:
        try:
            got = await client.request(method, path, **how)
        except httpx.HTTPError as error:  # it has died
            last = str(error) or type(error).__name__
        else:
            if got.status_code < 300 or got.status_code in known:
                return got
            last = f"{got.status_code} {got.text}"
            if got.status_code < 500 and got.status_code not in UNSURE:
                break
        await asyncio.sleep(AGAIN_S)
    raise Unanswered(f"{method} {path} was answered with {last}.")


async def written(client: httpx.AsyncClient, path: str, body: Any = None, **how: Any) -> dict[str, Any]:
    """What a POST with a key of its own answers. Raises Unanswered."""
    headers: Mapping[str, str] = {"Idempotency-Key": str(new_id())} | how.pop("headers", {})
    how = how if "content" in how else how | {"json": body}
    return dict((await answer(client, "POST", path, headers=headers, **how)).json())


async def told(client: httpx.AsyncClient, path: str, **how: Any) -> dict[str, Any]:
    """The JSON of a GET. Raises Unanswered."""
    return dict((await answer(client, "GET", path, **how)).json())


async def until(holds: Callable[[], Awaitable[bool]], what: str, patience_s: float = PATIENCE_S) -> None:
    """Wait until it holds. Raises TimeoutError."""
    deadline = time.monotonic() + patience_s
    while not await holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited {patience_s:.0f} s until {what}.")
        await asyncio.sleep(AGAIN_S)
