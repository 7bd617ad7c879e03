"""How the demo speaks, waits and insists."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx


class Broken(Exception):
    """A claim of the demo did not hold."""


async def ended(client: httpx.AsyncClient, id: str) -> dict[str, Any]:
    """The task once it has ended."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        task: dict[str, Any] = (await client.get(f"/v1/tasks/{id}", params={"wait": 20})).json()
        if task["status"] in ("complete", "failed", "cancelled"):
            return task
    raise Broken(f"task {id} did not end within a minute")


async def until(holds: Callable[[], Any], what: str, patience_s: float = 60.0) -> None:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if await holds():
            return
        await asyncio.sleep(0.05)
    raise Broken(f"waited {patience_s:.0f} s for {what}")


def need(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Broken(otherwise)


def title(text: str) -> None:
    say(f"\n{text}")


def say(text: str) -> None:
    print(text, flush=True)
