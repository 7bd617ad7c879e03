"""Is it once where once was promised: one answer to a key, one name for a mail?"""

import asyncio
import os
import signal
from email import message_from_bytes
from pathlib import Path

import asyncpg
import httpx

from tests.acceptance.running import AWAY, Running, balance, balanced, ended, history
from tests.waiting import until, until_told

END_THOSE_WHO_WAIT = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE pg_blocking_pids(pid) <> '{}'
"""


async def test_50_requests_at_once_with_one_key_make_one_task_and_get_one_answer(service: Running) -> None:
    body, key = {"kind": "probe", "request": {"payload": "once"}}, {"Idempotency-Key": "fifty"}
    async with service.client() as client:
        before = (await balance(client))["accepted"]
        answers = await asyncio.gather(*(client.post("/v1/tasks", json=body, headers=key) for _ in range(50)))
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.content for answer in answers}) == 1
        assert len({answer.headers["location"] for answer in answers}) == 1
        assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
        other = await client.post("/v1/tasks", json={"kind": "probe", "request": {"payload": "twice"}}, headers=key)
        assert (other.status_code, other.json()["type"]) == (422, "/problems/key-reused")
        assert (await client.post("/v1/tasks", json=body, headers=key)).content == answers[0].content
        await ended(client, [answers[0].json()["id"]])
        assert (await balanced(client))["accepted"] == before + 1
    await service.sound()


async def test_a_sign_up_is_followed_by_its_mail(service: Running) -> None:
    async with service.client() as client:
        task = await _sign_up(client)
        assert [one["status"] for one in await ended(client, [task])] == ["complete"]
        assert len(_mails(service.home, task)) == 1
        told = (await client.get("/v1/mail")).json()["items"][0]
        assert (told["to"], told["message_id"].startswith(f"<task-{task}@")) == ("Ada <ada@example.com>", True)
    await service.sound()


async def test_a_mail_is_tried_again_when_the_mail_server_was_killed(service: Running) -> None:
    async with service.client() as client:
        sink = service.pids("mail")[0]
        with service.frozen(sink):
            task = await _sign_up(client)
            await _worker_of(service, task)
            os.kill(sink, signal.SIGKILL)
        assert [one["status"] for one in await ended(client, [task])] == ["complete"]
        assert (await history(client, task))["attempts"][0]["outcome"] == "stumbled"
        assert len(_mails(service.home, task)) == 1
    await service.sound()


async def test_a_mail_that_is_sent_again_has_the_same_name(service: Running) -> None:
    """The mail server has the mail; the worker is killed before it can tell of it; another one sends it again."""
    async with service.client() as client:
        await until_told(lambda: _greeting(service), 30, AWAY)
        with service.frozen(service.pids("mail")[0]):
            task = await _sign_up(client)
            worker = int((await _worker_of(service, task)).rpartition("-")[2])
            holder = await asyncpg.connect(service.told["postgres_admin"])
            holding = holder.transaction()
            await holding.start()
            await holder.execute("SELECT FROM postcommit.tasks WHERE id = $1::uuid FOR UPDATE", task)
        await until(lambda: len(_mails(service.home, task)) == 1)
        os.kill(worker, signal.SIGKILL)
        for _ in range(10):  # its heartbeat may wait before its result, and that then waits for the heartbeat
            await holder.execute(END_THOSE_WHO_WAIT)
            await asyncio.sleep(0.05)
        await holding.rollback()
        await holder.close()
        assert [one["status"] for one in await ended(client, [task])] == ["complete"]
        assert [one["outcome"] for one in (await history(client, task))["attempts"]] == ["lost", "complete"]
        first, second = _mails(service.home, task)
        assert first == second and first.startswith(f"<task-{task}@")
    await service.sound()


async def _sign_up(client: httpx.AsyncClient) -> str:
    """Make an account; answers with the task of its mail."""
    answer = await client.post("/v1/accounts", json={"email": "ada@example.com", "name": "Ada"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["tasks"][0])


def _mails(home: Path, task: str) -> list[str]:
    """The Message-ID of every mail that was delivered for the task."""
    names = [message_from_bytes(path.read_bytes())["Message-ID"] for path in sorted((home / "mail").glob("*.eml"))]
    return [name.strip() for name in names if task in name]


async def _worker_of(service: Running, task: str) -> str:
    """Who has the task, as soon as somebody has."""
    query = "SELECT worker FROM postcommit.tasks WHERE id = $1::uuid AND status = 'in_progress'"
    return str(await until_told(lambda: service.sql(query, task), 30, AWAY))


async def _greeting(service: Running) -> bytes:
    """Of the mail server, once it is there."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(service.told["mail"].rpartition(":")[2]))
    greeting = await reader.readline()
    writer.close()
    return greeting
