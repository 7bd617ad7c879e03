"""The evidence that is gathered at the end: the whole log, what arrived, what became of things, the invariants."""

import asyncio
import email
import email.policy
import json
import re
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path
from typing import Any

import httpx

from infra.drill.evidence import Arrival, Line
from infra.drill.intents import Answered, Heard, Intent
from infra.drill.service import Service
from infra.drill.stories import THINGS
from infra.exits import DONE, FAILED

NAMED = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"
)  # the task, in a name of its effect


async def replay(service: Service) -> list[Line]:
    """The whole log, from its beginning."""
    async with service.client("auditor", 300) as client:
        return [line(told) async for told in _told(client)]


async def _told(client: httpx.AsyncClient) -> AsyncIterator[dict[str, Any]]:
    async with client.stream("GET", "/v1/events", headers={"Accept": "application/x-ndjson"}) as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            if line:
                yield json.loads(line)


def line(told: Mapping[str, Any]) -> Line:
    """A fact of `GET /v1/events`."""
    return Line(told["position"], told["id"], told["stream"], told["name"], told["data"])


def arrivals(home: Path) -> list[Arrival]:
    """What the far sides have on their disks."""
    found = [_mail(path) for path in sorted((home / "mail").glob("*.eml"))]
    return found + [_notice(path) for path in sorted((home / "notices").glob("*.json"))]


def _mail(path: Path) -> Arrival:
    with path.open("rb") as file:
        told = email.message_from_binary_file(file, policy=email.policy.default)
    return _arrival("email", str(told["Message-ID"]).strip(), f"{told['X-Envelope-To']}: {told['Subject']}", path)


def _notice(path: Path) -> Arrival:
    told = json.loads(path.read_text())
    body = told["body"]
    return _arrival("webhook", told["webhook_id"], f"{body.get('type')}: {body.get('data', {}).get('order')}", path)


def _arrival(sort: str, name: str, about: str, path: Path) -> Arrival:
    found = NAMED.search(name)
    at = datetime.strptime(path.name.partition("Z")[0], "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC)
    return Arrival(sort, name, found[0] if found else "", about, at)


async def things(service: Service, meant: Sequence[Intent], heard: Mapping[int, Heard]) -> dict[str, str]:
    """What became of every image, film, report and upload that was accepted: its name and its status."""
    taken = [(one, heard[one.number]) for one in meant if one.number in heard]
    taken = [(intent, answer) for intent, answer in taken if answer.answered is Answered.OK]
    removed, found = {answer.id for intent, answer in taken if intent.story == "removal"}, dict[str, str]()
    async with service.client("operator", 60) as client:
        for intent, answer in taken:
            if intent.story in THINGS:
                told = await _asked(client, f"{THINGS[intent.story]}/{answer.id}", gone=answer.id in removed)
                found[answer.id] = f"{intent.story} {told['status']}"
                if intent.story == "upload":
                    found |= await _uploaded(client, answer.id, told)
    return found


async def _uploaded(client: httpx.AsyncClient, upload: str, told: Mapping[str, Any]) -> dict[str, str]:
    """It is complete when it is finished and has become an image, which is a thing as well."""
    link = (told.get("links") or {}).get("image", "")
    if told.get("status") != "finished" or not link:
        return {upload: f"upload {told.get('status')} without an image"}
    image = await _asked(client, link)
    return {upload: "upload complete", link.rpartition("/")[2]: f"image {image.get('status')}"}


async def _asked(client: httpx.AsyncClient, path: str, gone: bool = False) -> dict[str, Any]:
    """What it tells; of what is meant to be `gone` that it is complete, where it says so."""
    answer = await client.get(path)
    if gone:
        return {"status": "complete" if answer.status_code == 410 else f"answered with {answer.status_code}, not gone"}
    return dict(answer.json()) if answer.status_code == 200 else {"status": f"answered with {answer.status_code}"}


def kept_files(store: Path) -> dict[str, Path]:
    """The files of the store on this disk, by their names; none of a store that speaks S3."""
    return {path.name: path for path in (store / "files").glob("??/*")}


def torn(store: Path) -> list[str]:
    """Those whose bytes are not what their name says."""
    return [f"the file {name} has another content" for name, path in kept_files(store).items() if _sum(path) != name]


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


async def broken(service: Service) -> list[str]:
    """The invariants that do not hold, as `postcommit check` finds them."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "infra.cli", "check", "--home", str(service.home), "--json"),
        env=service.environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, said = await process.communicate()
    return of_check(process.returncode, told.decode(), said.decode())


def of_check(code: int | None, told: str, said: str) -> list[str]:
    """What `postcommit check --json` has told by its exit code, on stdout and on stderr: what is broken, and whether it
    could not ask for all."""
    invariants: dict[str, list[str]] = json.loads(told)["invariants"] if told else {}
    broken = [f"{name}: {', '.join(found[:3])}" for name, found in invariants.items() if found]
    asked = invariants and code == (FAILED if broken else DONE)
    return broken if asked else [*broken, f"`postcommit check` ended with code {code}: {said[-500:]}"]
