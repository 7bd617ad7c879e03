"""Who watches meanwhile: an auditor that reads the log as it grows, and the evidence that is gathered at the end."""

import asyncio
import email
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from adapters.postgres.database import Database
from infra.check.run import check
from infra.drill.intents import Answered, Heard, Intent
from infra.drill.service import Service
from infra.drill.stories import THINGS
from infra.drill.verdict import Arrival, Line
from infra.store import files_at

PAGE = 500
LOOK_S = 1.0
NAMED = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"
)  # the task, in a name of its effect


async def audit(service: Service, seen: dict[int, str]) -> None:
    """Read the log page by page as it grows, until cancelled; what is away is asked again."""
    async with service.client("auditor") as client:
        while True:
            try:
                answer = await client.get("/v1/events", params={"after": max(seen, default=0), "limit": PAGE})
                items = answer.json()["items"] if answer.status_code == 200 else []
            except httpx.HTTPError:
                items = []
            seen.update((one["position"], one["id"]) for one in items)
            if len(items) < PAGE:
                await asyncio.sleep(LOOK_S)


async def replay(service: Service) -> list[Line]:
    """The whole log, from its beginning."""
    async with service.client("auditor", 300) as client:
        return [_line(told) async for told in _told(client)]


async def _told(client: httpx.AsyncClient) -> AsyncIterator[dict[str, Any]]:
    async with client.stream("GET", "/v1/events", headers={"Accept": "application/x-ndjson"}) as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            if line:
                yield json.loads(line)


def _line(told: dict[str, Any]) -> Line:
    at = datetime.fromisoformat(told["at"])
    return Line(told["position"], told["id"], told["stream"], told["name"], at, told["data"])


def arrivals(home: Path) -> list[Arrival]:
    """What the far sides have on their disks."""
    found = []
    for path in sorted((home / "mail").glob("*.eml")):
        with path.open("rb") as file:
            found.append(_arrival("email", str(email.message_from_binary_file(file)["Message-ID"]).strip(), path))
    for path in sorted((home / "notices").glob("*.json")):
        found.append(_arrival("webhook", json.loads(path.read_text())["webhook_id"], path))
    return found


def _arrival(sort: str, name: str, path: Path) -> Arrival:
    found = NAMED.search(name)
    at = datetime.strptime(path.name.partition("Z")[0], "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC)
    return Arrival(sort, name, found[0] if found else "", at)


async def things(service: Service, meant: Sequence[Intent], heard: Mapping[int, Heard]) -> dict[str, str]:
    """The status of every image, video and report that was accepted."""
    found = {}
    async with service.client("operator", 60) as client:
        for intent in meant:
            answer = heard.get(intent.number)
            if intent.story in THINGS and answer is not None and answer.answered is Answered.OK:
                told = (await client.get(f"{THINGS[intent.story]}/{answer.id}")).raise_for_status().json()
                found[answer.id] = f"{intent.story} {told['status']}"
    return found


async def broken(service: Service) -> list[str]:
    """The invariants that do not hold, as `postcommit check` finds them."""
    database = Database(service.run["postgres"], 2, "postcommit drill", statement_s=600)
    try:
        files = files_at(service.run["files"])
        findings = [one async for one in check(database, service.run["nats_admin"], files) if one.offenders]
    finally:
        await database.close()
    return [f"{one.name}: {', '.join(one.offenders[:3])}" for one in findings]
