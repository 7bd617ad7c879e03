"""Is it once where once was promised: one answer to a key, one name for a mail?"""

import asyncio
import os
import signal
from email import message_from_bytes
from pathlib import Path

from tests.acceptance.running import Running, alive, balance, balanced, ended, history, when
from tests.waiting import until, until_told


async def test_50_requests_at_once_with_one_key_make_one_task_and_get_one_answer(service: Running) -> None:
    body, key = {"kind": "probe", "request": {"payload": "once"}}, {"Idempotency-Key": "fifty"}
    async with service.client() as client:
        before = (await balance(client))["accepted"]
        answers = await asyncio.gather(*(client.post("/v1/tasks", json=body, headers=key) for _ in range(50)))
        assert {answer.status_code for answer in answers} == {202}
        assert (
            len({answer.content for answer in answers}) == len({answer.headers["location"] for answer in answers}) == 1
        )
        assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
        other = await client.post("/v1/tasks", json={"kind": "probe", "request": {"payload": "twice"}}, headers=key)
        assert (other.status_code, other.json()["type"]) == (422, "/problems/key-reused")
        assert (await client.post("/v1/tasks", json=body, headers=key)).content == answers[0].content
        await ended(client, [answers[0].json()["id"]])
        assert (await balanced(client))["accepted"] == before + 1
    await service.sound()


async def test_a_sign_up_is_followed_by_its_mail(service: Running) -> None:
    async with service.client() as client:
        answer = await client.post("/v1/accounts", json={"email": "ada@example.com", "name": "Ada"})
        assert answer.status_code == 201
        task = answer.json()["tasks"][0]
        assert [one["status"] for one in await ended(client, [task])] == ["complete"]
        assert len(_mails(service.home, task)) == 1
        told = (await client.get("/v1/mail")).json()["items"][0]
        assert (told["to"], told["message_id"].startswith(f"<task-{task}@")) == ("Ada <ada@example.com>", True)
    await service.sound()


async def test_a_mail_that_is_sent_again_has_the_same_name(service: Running) -> None:
    """The mail is on the disk, its worker is killed before it can tell, and the next attempt sends it again."""
    async with service.client() as client:
        sink = service.pids("mail")[0]
        with service.frozen(sink):
            answer = await client.post("/v1/accounts", json={"email": "bob@example.com", "name": "Bob"})
            task = answer.json()["tasks"][0]
            worker = int((await when(lambda: _started(service, task))).rpartition("-")[2])
            os.kill(sink, signal.SIGKILL)
        await until(lambda: not alive(sink))
        with service.frozen(worker):
            await until(lambda: bool(_mails(service.home, task)), 30)
        tasks = await ended(client, [task])
        assert [one["status"] for one in tasks] == ["complete"]
        told = await history(client, task)
        assert len(told["attempts"]) >= 2
        names = _mails(service.home, task)
        assert len(set(names)) == 1 and names[0].startswith(f"<task-{task}@"), names
        await until_told(lambda: _nothing_open(service))
    await service.sound()


def _mails(home: Path, task: str) -> list[str]:
    """The Message-ID of every mail that was delivered for the task."""
    names = [message_from_bytes(path.read_bytes())["Message-ID"] for path in sorted((home / "mail").glob("*.eml"))]
    return [name.strip() for name in names if task in name]


async def _started(service: Running, task: str) -> str:
    query = "SELECT worker FROM postcommit.tasks WHERE id = $1::uuid AND status = 'in_progress'"
    return str(await service.sql(query, task) or "")


async def _nothing_open(service: Running) -> bool:
    return bool(await service.sql("SELECT NOT EXISTS (SELECT FROM postcommit.tasks WHERE finished_at IS NULL)"))
