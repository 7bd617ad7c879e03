"""The demo: the promise, told on real servers with real kills. Ends by itself; exit code 0 where every claim held."""

import asyncio
import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from infra.demo import shop
from infra.demo.figures import figures
from infra.demo.film import SIDES, TASKS, film
from infra.demo.service import Service, started
from infra.demo.telling import Broken, ended, need, say, title, until

PROBES = 20
LEASE_S = "3"
SETTINGS = {"POSTCOMMIT_LEASE_S": LEASE_S, "POSTCOMMIT_HEARTBEAT_S": "1", "POSTCOMMIT_VIDEO_SIDES": ",".join(SIDES)}
SENT = {"email_welcome": 2, **dict.fromkeys(shop.CHAIN, 1), "probe": 2 * PROBES + 1, **TASKS}  # tasks, by kind


def demo() -> int:
    """Tell the story; answers with the exit code."""
    with tempfile.TemporaryDirectory(prefix="postcommit-demo-") as home:
        say("postcommit demo: real Postgres, real NATS, real SMTP, every role a process of its own.")
        say(f"Starting all of it … (a worker counts as lost after {LEASE_S} s of silence)")
        try:
            with started(Path(home), SETTINGS) as service:
                asyncio.run(story(service))
        except Broken as error:
            say(f"The demo failed: {error}")
            return 1
    return 0


async def story(service: Service) -> None:
    async with httpx.AsyncClient(
        base_url=service.http, headers=service.operator, timeout=30, trust_env=False
    ) as client:
        await sign_up(client)
        await shop.order(client)
        await shop.deletion(client)
        await kill_a_worker(client, service)
        await lose_nats(client, service)
        await in_your_own_transaction(client, service)
        await film(client, service)
        await figures(client, signups=2, orders=1, cents=shop.TOTAL_CENTS, tasks=SENT)
        await balance(client)


async def sign_up(client: httpx.AsyncClient) -> None:
    title("1. Sign-up: the account at once, the mail seconds later")
    answer = await client.post("/v1/accounts", json={"email": "ada@example.com", "name": "Ada"})
    say(f"   POST /v1/accounts → {answer.status_code}, account {answer.json()['id']}")
    task = await ended(client, answer.json()["tasks"][0])
    need(task["status"] == "complete", f"the welcome mail is {task['status']}")
    mail = (await client.get("/v1/mail")).json()["items"][0]
    say("   The mail as it was received over SMTP:")
    for name in ("from", "to", "subject", "message_id"):
        say(f"     {name}: {mail[name]}")
    need(mail["message_id"] == task["result"]["message_id"], "the mail received is not the mail recorded")


async def kill_a_worker(client: httpx.AsyncClient, service: Service) -> None:
    title(f"4. kill -9 of a worker while {PROBES} tasks run")
    ids = await probes(client, work_s=1.0)
    worker = service.pids()["worker"][0]
    await until(lambda: in_progress(client, ids, 2), "two tasks to be in progress")
    os.kill(worker, signal.SIGKILL)
    say(f"   kill -9 {worker}: its tasks lose their holder; others wait.")
    tasks = [await ended(client, id) for id in ids]
    again = [task for task in tasks if task["attempt"] == 2]
    say(f"   {sum(task['status'] == 'complete' for task in tasks)} of {PROBES} complete, {len(again)} at attempt 2.")
    need(all(task["status"] == "complete" for task in tasks), "not every task is complete")
    need(len(again) >= 2, "fewer than two tasks were rescued")


async def lose_nats(client: httpx.AsyncClient, service: Service) -> None:
    title("5. NATS stopped, its disk wiped, started again")
    service.signal(signal.SIGUSR2)
    await until(lambda: nats_is(client, up=False), "NATS to be away")
    ids = await probes(client, work_s=0.2)
    say(f"   NATS is away; {PROBES} tasks were accepted meanwhile, each with 202.")
    service.signal(signal.SIGUSR1)
    service.signal(signal.SIGUSR2)
    tasks = [await ended(client, id) for id in ids]
    need(all(task["status"] == "complete" for task in tasks), "not every task is complete")
    say(f"   {len(tasks)} of {PROBES} complete. NATS lost all that it had; the log is in Postgres.")
    await until(lambda: service.check(), "the stream to be equal to the log")
    say("   The stream was made anew and filled again: it is equal to the log.")


async def in_your_own_transaction(client: httpx.AsyncClient, service: Service) -> None:
    title("6. A task in your own transaction: SELECT postcommit.request(kind, request, key)")
    connection = await asyncpg.connect(service.postgres)
    try:
        async with connection.transaction():
            committed = await request(connection, "order-1")
        rolled_back = connection.transaction()
        await rolled_back.start()
        lost = await request(connection, "order-2")
        await rolled_back.rollback()
    finally:
        await connection.close()
    task = await ended(client, str(committed))
    say(f"   committed:   task {committed} is {task['status']}")
    status = (await client.get(f"/v1/tasks/{lost}")).status_code
    say(f"   rolled back: task {lost} → {status}, it never existed")
    need(task["status"] == "complete" and status == 404, "a transaction and its task did not share their fate")


async def balance(client: httpx.AsyncClient) -> None:
    title("9. The balance: what was accepted is accounted for")
    counted = (await client.get("/v1/balance")).json()
    need(counted["difference"] == 0, f"the balance is {counted}")
    say(
        "accepted {accepted} = complete {complete} + failed {failed} + cancelled {cancelled} + open {open}"
        " (position {position}), difference {difference}".format(**counted)
    )


async def request(connection: Any, key: str) -> Any:
    return await connection.fetchval("SELECT postcommit.request('probe', '{\"payload\": \"from SQL\"}', $1)", key)


async def probes(client: httpx.AsyncClient, work_s: float) -> list[str]:
    """Request probes; answers with their ids."""
    items = [{"kind": "probe", "request": {"work_s": work_s, "payload": n}} for n in range(PROBES)]
    answer = await client.post("/v1/tasks/batch", json=items)
    need(answer.status_code == 202, f"the batch was answered with {answer.status_code}: {answer.text}")
    return [task["id"] for task in answer.json()["items"]]


async def in_progress(client: httpx.AsyncClient, ids: list[str], least: int) -> bool:
    items = (await client.get("/v1/tasks", params={"status": "in_progress", "limit": 100})).json()["items"]
    return sum(task["id"] in ids for task in items) >= least


async def nats_is(client: httpx.AsyncClient, up: bool) -> bool:
    return ((await client.get("/readyz")).json()["status"] == "ok") is up
