"""The clients of the drill: each means something, sends it until the answer is definite, and goes on."""

import asyncio
import random
from base64 import b64encode
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from infra.clock import new_id
from infra.drill import stories
from infra.drill.campaign import say
from infra.drill.evidence import allowed
from infra.drill.intents import Answered, Heard, Intent, Intents
from infra.drill.service import Service
from infra.drill.stories import THINGS

AGAIN_S = (0.05, 1.0)  # between two tries
SHARES = {"probe": 66.0, "account": 9.0, "order": 14.0, "poison": 4.0, "image": 3.5, "upload": 1.5, "report": 0.5}
SHARES |= {"video": 0.5, "search": 0.5, "removal": 0.5}
PATIENCE_S = 10.0  # for an answer
GIVES_UP = 0.05  # of those that ask for a probe, and send only once: whether it was taken they never know
TASKS = ("/v1/tasks", "/v1/search/rebuild")  # whose answer is a task itself
AN_IMAGE = b64encode(b"image").decode()
TUS = {"Tus-Resumable": "1.0.0"}
UNSURE = (409, 429)  # the same request is sent again, as after any 5xx


@dataclass(slots=True)
class Load:
    """So many clients, each with one request at a time, `pause_s` apart."""

    service: Service
    intents: Intents
    chance: random.Random
    pause_s: float
    clip: bytes  # a film
    statuses: Counter[int] = field(default_factory=Counter)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _item: str = ""
    _rebuilding: asyncio.Lock = field(default_factory=asyncio.Lock)
    _begun: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(seconds=2))

    async def run(self, clients: int) -> None:
        async with self.service.client("operator") as client:
            self._item = (await self._definite(client, "item", "/v1/items", stories.LAMP)).id
            async with asyncio.TaskGroup() as group:
                for _ in range(clients):
                    group.create_task(self._one(client))

    async def _one(self, client: httpx.AsyncClient) -> None:
        while not self.stopping.is_set():
            await self._story(client)
            await asyncio.sleep(self.pause_s * self.chance.uniform(0.5, 1.5))

    async def _story(self, client: httpx.AsyncClient) -> None:
        match self.chance.choices(tuple(SHARES), tuple(SHARES.values()))[0]:
            case "probe":
                await self._ask(client, "probe", "/v1/tasks", gives_up=self.chance.random() < GIVES_UP)
            case "account":
                await self._ask(client, "account", "/v1/accounts")
            case "order":
                await self._order(client)
            case "poison":
                await self._ask(client, "poison", "/v1/tasks")
            case "upload":
                await self._upload(client)
            case "search":
                await self._rebuild(client)
            case "report":
                period = {"begin": self._begun.isoformat(), "end": (self._begun + timedelta(seconds=1)).isoformat()}
                await self._definite(client, "report", "/v1/reports", period)
            case "removal":
                await self._removal(client)
            case story:
                await self._thing(client, story)

    async def _thing(self, client: httpx.AsyncClient, story: str) -> Heard:
        number = self.intents.next()
        return await self._definite(client, story, THINGS[story], {story: number}, number=number)

    async def _removal(self, client: httpx.AsyncClient) -> None:
        """An image that is deleted once its sizes are made: before that, work for it would be cancelled."""
        made = await self._thing(client, "image")
        if made.answered is Answered.OK and await self._is(client, f"{THINGS['image']}/{made.id}", "complete"):
            await self._definite(client, "removal", f"{THINGS['image']}/{made.id}", {})

    async def _order(self, client: httpx.AsyncClient) -> None:
        buyer = await self._ask(client, "account", "/v1/accounts")
        lines = [{"item": self._item, "quantity": 1}]
        made = await self._definite(client, "order", "/v1/orders", {"account": buyer.id, "lines": lines})
        await self._definite(client, "confirm", f"/v1/orders/{made.id}/confirm", {})

    async def _upload(self, client: httpx.AsyncClient) -> None:
        """An image in two pieces, by tus: after each doubt the server is asked where it goes on."""
        number = self.intents.next()
        begun = await self._definite(client, "upload", THINGS["upload"], {"image": number}, number=number)
        if begun.answered is not Answered.OK:
            return
        content, path = stories.image(number), f"{THINGS['upload']}/{begun.id}"
        while (offset := await self._offset(client, path)) != len(content):
            if offset is not None:
                piece = content[offset : max(offset + 1, len(content) // 2) if offset == 0 else len(content)]
                head = TUS | {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
                await self._tried(client, "PATCH", path, head, piece)
            await asyncio.sleep(self.chance.uniform(*AGAIN_S))

    async def _offset(self, client: httpx.AsyncClient, path: str) -> int | None:
        """Up to where the server has it; None where it cannot be asked."""
        answer = await self._tried(client, "HEAD", path, TUS)
        if answer is None or answer.status_code != 200:
            return None
        return int(answer.headers["Upload-Offset"])

    async def _tried(
        self, client: httpx.AsyncClient, method: str, path: str, head: dict[str, str], content: bytes = b""
    ) -> httpx.Response | None:
        try:
            answer = await client.request(method, path, headers=head, content=content, timeout=PATIENCE_S)
        except httpx.HTTPError:
            return None
        self._count(answer)
        return answer

    def _count(self, answer: httpx.Response) -> None:
        """What must not be is told at once: the service's own log may go with a disk."""
        self.statuses[answer.status_code] += 1
        if not allowed(answer.status_code):
            asked = answer.request
            say(f"  {datetime.now(UTC):%H:%M:%S} {asked.method} {asked.url.path}: {answer.status_code} {answer.text}")

    async def _rebuild(self, client: httpx.AsyncClient) -> None:
        """One at a time: another one that is asked for meanwhile would overtake it."""
        if self._rebuilding.locked():
            return
        async with self._rebuilding:
            asked = await self._definite(client, "search", "/v1/search/rebuild", {})
            if asked.answered is Answered.OK:
                await self._is(client, f"/v1/tasks/{asked.id}", "complete")

    async def _is(self, client: httpx.AsyncClient, path: str, status: str) -> bool:
        """Wait until it is; whether it is, where it ends otherwise or the drill ends."""
        while not self.stopping.is_set():
            answer = await self._tried(client, "GET", path, {})
            told = answer.json()["status"] if answer is not None and answer.status_code == 200 else ""
            if told in (status, "failed", "cancelled"):
                return bool(told == status)
            await asyncio.sleep(AGAIN_S[1])
        return False

    async def _ask(self, client: httpx.AsyncClient, story: str, path: str, gives_up: bool = False) -> Heard:
        number = self.intents.next()
        match story:
            case "probe":
                body = stories.probe(number, self.chance)
            case "account":
                body = stories.account(number)
            case _:
                body = stories.poison(number, self.chance)
        return await self._definite(client, story, path, body, gives_up, number)

    async def _definite(
        self, client: httpx.AsyncClient, story: str, path: str, body: Any, gives_up: bool = False, number: int = 0
    ) -> Heard:
        """Mean it, and send it until the answer is definite; only once, where the sender gives up."""
        intent = Intent(number or self.intents.next(), story, str(new_id()), path, body, datetime.now(UTC))
        await asyncio.to_thread(self.intents.mean, intent)
        heard = await self._sent(client, intent)
        while heard.answered is Answered.UNKNOWN and not gives_up:
            await asyncio.sleep(self.chance.uniform(*AGAIN_S))
            heard = await self._sent(client, intent)
        self.intents.hear(heard)
        return heard

    def _sending(self, intent: Intent) -> dict[str, Any]:
        match intent.story:
            case "image":
                return {"content": stories.image(intent.body["image"])}
            case "video":
                return {"content": stories.video(intent.body["video"], self.clip)}
            case "upload":
                length = str(len(stories.image(intent.body["image"])))
                return {"headers": TUS | {"Upload-Length": length, "Upload-Metadata": f"purpose {AN_IMAGE}"}}
            case "removal":
                return {}
            case _:
                return {"json": intent.body}

    async def _sent(self, client: httpx.AsyncClient, intent: Intent) -> Heard:
        sending = self._sending(intent)
        head = sending.pop("headers", {}) | {"Idempotency-Key": intent.key}
        method = "DELETE" if intent.story == "removal" else "POST"
        try:
            answer = await client.request(method, intent.path, **sending, headers=head, timeout=PATIENCE_S)
        except httpx.HTTPError:
            return Heard(intent.number, Answered.UNKNOWN)
        status = answer.status_code
        self._count(answer)
        if status >= 500 or status in UNSURE:
            return Heard(intent.number, Answered.UNKNOWN, status)
        if status >= 400:
            return Heard(intent.number, Answered.REFUSED, status)
        if intent.story == "upload":  # tus: the answer has no body
            return Heard(intent.number, Answered.OK, status, (), answer.headers["Location"].rpartition("/")[2])
        told = answer.json()
        tasks = told.get("tasks") or ([told["id"]] if intent.path in TASKS else [])
        return Heard(intent.number, Answered.OK, status, tuple(tasks), str(told.get("id", "")))
