"""`make bench`: idle latency from the POST to the handler's start, and how many tasks a second are accepted.

Everything runs on this machine in one run, so look at the ratios: bare INSERTs of asyncpg stand beside our figures."""

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx

from infra.demo.service import Service, started

IDLE = 40  # tasks, one after the other
CONNECTIONS = 32
ACCEPTED = 3_000  # tasks of one round
ROUNDS = 3
BODY = {"kind": "probe", "request": {"payload": "x" * 200}}


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="postcommit-bench-") as home, started(Path(home), {}) as service:
        asyncio.run(measure(service))


async def measure(service: Service) -> None:
    limits = httpx.Limits(max_connections=CONNECTIONS)
    options: dict[str, Any] = {"base_url": service.http, "headers": service.operator, "limits": limits}
    async with httpx.AsyncClient(**options, timeout=60, trust_env=False) as client:
        latencies = [await idle_latency(client) for _ in range(IDLE)]
        show("idle: POST → handler's start, ms", [latency * 1000 for latency in latencies])
        pool = await asyncpg.create_pool(service.run["postgres_admin"], min_size=8, max_size=8)
        await pool.execute("CREATE TABLE bare (id uuid PRIMARY KEY DEFAULT uuidv7(), body json)")
        ours, batches, bare = [], [], []
        for _ in range(ROUNDS):
            bare.append(await rate(lambda: insert(pool), ACCEPTED))
            ours.append(await accepted(service))
            await drained(client)
            batches.append(await rate(lambda: post_batch(client), 5) * 1_000)
            await drained(client)
        await pool.close()
    show(f"one bare INSERT of asyncpg each, {CONNECTIONS} at once, 1/s", bare)
    show(f"POST /v1/tasks, {CONNECTIONS} connections, tasks/s", ours)
    show("POST /v1/tasks/batch of 1,000, tasks/s", batches)
    print(f"ratio POST : bare INSERT = {statistics.median(ours) / statistics.median(bare):.2f}")


async def idle_latency(client: httpx.AsyncClient) -> float:
    """Seconds from before the POST until the worker started the task, by the clock of this machine."""
    begin = time.time()
    id = (await client.post("/v1/tasks", json=BODY)).json()["id"]
    task = (await client.get(f"/v1/tasks/{id}", params={"wait": 20})).json()
    return datetime.fromisoformat(task["started_at"]).timestamp() - begin


async def accepted(service: Service) -> float:
    """Tasks a second over plain sockets: a full HTTP client takes longer for a request than the service does."""
    address = urlsplit(service.http)
    body = json.dumps(BODY).encode()
    head = "".join(f"{name}: {value}\r\n" for name, value in service.operator.items())
    request = (
        f"POST /v1/tasks HTTP/1.1\r\nHost: {address.netloc}\r\n{head}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    left = iter(range(ACCEPTED))

    async def loop() -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        for _ in left:
            writer.write(request)
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert answer.startswith(b"http/1.1 202"), answer
            await reader.readexactly(int(answer.partition(b"content-length:")[2].partition(b"\r\n")[0]))
        writer.close()

    begin = time.perf_counter()
    await asyncio.gather(*(loop() for _ in range(CONNECTIONS)))
    return ACCEPTED / (time.perf_counter() - begin)


async def post_batch(client: httpx.AsyncClient) -> None:
    (await client.post("/v1/tasks/batch", json=[BODY] * 1_000)).raise_for_status()


async def insert(pool: Any) -> None:
    await pool.execute("INSERT INTO bare (body) VALUES ($1)", json.dumps(BODY))


async def drained(client: httpx.AsyncClient) -> None:
    """Wait until no task is open, so that no round works against the one before it."""
    while (await client.get("/v1/balance")).json()["open"]:
        await asyncio.sleep(0.1)


async def rate(do: Callable[[], Awaitable[None]], times: int) -> float:
    left = iter(range(times))

    async def loop() -> None:
        for _ in left:
            await do()

    begin = time.perf_counter()
    await asyncio.gather(*(loop() for _ in range(CONNECTIONS)))
    return times / (time.perf_counter() - begin)


def show(what: str, values: list[float]) -> None:
    middle, least, most = statistics.median(values), min(values), max(values)
    print(f"{what}: median {middle:.1f}, min {least:.1f}, max {most:.1f} ({len(values)} samples)", flush=True)


if __name__ == "__main__":
    main()
