"""A program of somebody else that reads the stream: two registered consumers, who pull, keep and acknowledge."""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError

from infra.asking import unheard
from infra.drill.evidence import Live
from infra.drill.service import NotStarted, Service

FILTERS = {"drill-facts": "events.v1.>", "drill-tasks": "tasks.v1.>"}  # together: everything
MANY, PATIENCE_S, AGAIN_S = 200, 1.0, 1.0


Told = Mapping[str, str]
"""How to connect, as the registration says it."""


async def registered(service: Service) -> list[Told]:
    """Both of them. Raises NotStarted."""
    return [await _registered(service, name, filter) for name, filter in FILTERS.items()]


async def subscribe(consumers: Sequence[Told], handed: list[Live]) -> None:
    """Read until cancelled, as docs/consuming-events.md tells a consumer to do."""
    await asyncio.gather(*(_read(told, handed) for told in consumers))


async def _registered(service: Service, name: str, filter: str) -> Told:
    argv = (sys.executable, "-m", "infra.cli", "consumers", "add", name, "--filter", filter)
    process = await asyncio.create_subprocess_exec(
        *(*argv, "--home", str(service.home), "--json"),
        env=service.environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, said = await process.communicate()
    if process.returncode:
        raise NotStarted(f"The consumer {name} was not registered: {said.decode()}")
    return dict(json.loads(told))


async def _read(told: Told, handed: list[Live]) -> None:
    client = await nats.connect(
        told["url"], inbox_prefix=told["inbox_prefix"], max_reconnect_attempts=-1, error_cb=unheard
    )
    try:
        await _pulled(client, told, handed)
    finally:
        await client.close()


async def _pulled(client: Client, told: Told, handed: list[Live]) -> None:
    subscription = await client.jetstream().pull_subscribe_bind(told["durable"], stream=told["stream"])
    while True:
        try:
            messages = await subscription.fetch(MANY, timeout=PATIENCE_S)
            now = datetime.now(UTC)
            for message in messages:
                id = (message.headers or {}).get("ce-id", "")
                handed.append(Live(message.metadata.sequence.stream, id, now))
                await message.ack()
        except TimeoutError:  # nothing new
            continue
        except (NatsError, OSError):  # the stream is being made anew, or NATS is away
            await asyncio.sleep(AGAIN_S)
