"""Is anything lost, or done twice in sight, when parts are killed? Real processes, kill -9."""

import asyncio
import os
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from tests.acceptance.running import ROLES, SERVERS, Running, balanced, definite, ended, up
from tests.waiting import alive, until

TASKS = 500
ROUNDS = 2
TERMINAL = {"task.completed", "task.failed", "task.cancelled"}


async def test_500_accepted_tasks_have_500_outcomes_though_every_part_is_killed(tmp_path: Path) -> None:
    chance = _chance()
    requests = [_request(n, chance) for n in range(TASKS)]
    with up(tmp_path, "--workers", "2") as service:
        async with service.client(timeout=5.0) as client:
            killing = asyncio.create_task(_kill_in_turn(service, chance))
            ids = await _accept(client, requests, {})
            killed = await killing
            await until(lambda: all(service.pids(name) for name in killed), 30)
            tasks = await ended(client, ids, 120)
            counted = await balanced(client, 60)
            terminal = await _terminal_events(client)
        await service.sound(60)
    assert Counter(killed) == dict.fromkeys((*ROLES, *SERVERS), ROUNDS)
    assert [_outcome(task) for task in tasks] == [_expected(request) for request in requests]
    assert len(terminal) == TASKS and set(terminal.values()) == {1}
    refused = sum(bool(request.get("refuse")) for request in requests)
    assert (counted["accepted"], counted["complete"], counted["failed"]) == (TASKS, TASKS - refused, refused)


async def test_everything_is_there_when_the_supervisor_was_killed_under_load(tmp_path: Path) -> None:
    requests: list[dict[str, Any]] = [{"payload": n, "work_s": 0.5 * (n % 3 == 0)} for n in range(120)]
    with up(tmp_path) as service:
        before = service.told
        async with service.client(timeout=5.0) as client:
            answers: dict[int, str] = {}
            loading = asyncio.create_task(_accept(client, requests, answers))
            await until(lambda: len(answers) >= 40)
            os.kill(before["pids"]["supervisor"][0], signal.SIGKILL)
            with up(tmp_path) as again:
                tasks = await ended(client, await loading)
                assert (await balanced(client))["accepted"] == len(requests)
                await again.sound()
                assert not any(alive(pid) for pids in before["pids"].values() for pid in pids)
                assert again.told["http"] == before["http"] and again.told["keys"] == before["keys"]
    assert [task["result"]["payload"] for task in tasks] == list(range(len(requests)))


def _chance() -> random.Random:
    seed = int(os.environ.get("POSTCOMMIT_TEST_SEED") or random.randrange(2**32))
    print(f"POSTCOMMIT_TEST_SEED={seed}")
    return random.Random(seed)


def _request(number: int, chance: random.Random) -> dict[str, Any]:
    sort = chance.random()
    if sort < 0.05:
        return {"payload": number, "refuse": True}
    if sort < 0.15:
        return {"payload": number, "fail_first": 1}
    if sort < 0.4:
        return {"payload": number, "work_s": round(chance.uniform(0.2, 1.0), 2)}
    return {"payload": number}


def _expected(request: dict[str, Any]) -> tuple[str, Any, bool]:
    if request.get("refuse"):
        return "failed", "probe_refused", True
    return "complete", request["payload"], True


def _outcome(task: dict[str, Any]) -> tuple[str, Any, bool]:
    """Status, what was told, and whether there were as many attempts as the request wanted."""
    if task["status"] == "complete":
        tried = task["result"]["attempt"]
        return "complete", task["result"]["payload"], tried == task["attempt"] > task["request"].get("fail_first", 0)
    return task["status"], task["error"]["type"], task["attempt"] >= 1


async def _accept(client: httpx.AsyncClient, requests: list[dict[str, Any]], answers: dict[int, str]) -> list[str]:
    """Every request accepted, 50 a second, each repeated with its Idempotency-Key until the answer is definite."""

    async def accept(number: int, request: dict[str, Any]) -> None:
        body = {"kind": "probe", "request": request}
        answers[number] = (await definite(client, "/v1/tasks", body, f"request-{number}"))["id"]

    async with asyncio.TaskGroup() as group:
        for number, request in enumerate(requests):
            group.create_task(accept(number, request))
            await asyncio.sleep(0.02)
    return [answers[number] for number in range(len(requests))]


async def _kill_in_turn(service: Running, chance: random.Random) -> list[str]:
    """Every part, in random order and at random moments, and then all of them again."""
    killed = []
    for _ in range(ROUNDS):
        for name in chance.sample((*ROLES, *SERVERS), len(ROLES + SERVERS)):
            await asyncio.sleep(chance.uniform(0.2, 1.0))
            await service.killed(name)
            killed.append(name)
    return killed


async def _terminal_events(client: httpx.AsyncClient) -> Counter[str]:
    """How many ends the log tells of each task."""
    found, after = Counter[str](), 0
    while True:
        page = (await client.get("/v1/events", params={"after": after, "limit": 1000})).raise_for_status().json()
        found.update(line["stream"] for line in page["items"] if line["name"] in TERMINAL)
        if page["next"] is None:
            return found
        after = page["next"]
