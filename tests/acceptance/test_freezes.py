"""What do those do who were thought dead, or are asked to leave? SIGSTOP, SIGCONT, SIGTERM."""

import asyncio
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from tests.acceptance.running import AWAY, Running, balanced, ended, history, probe, probes
from tests.waiting import alive, until, until_told

LEASE_S = 3.0
TAKEOVER_S = 5.0
LEADER = "SELECT k.pid FROM pg_locks AS k WHERE k.locktype = 'advisory' AND k.granted AND k.objid = 1919249505"
TERMINAL = ("task.completed", "task.failed", "task.cancelled")


async def test_a_worker_that_wakes_after_twice_its_lease_has_its_results_refused(service: Running) -> None:
    async with service.client() as client:
        ids = await probes(client, [{"work_s": 2.0, "payload": n} for n in range(12)])
        holders = await _holders(client, ids)
        frozen, held = max(holders.items(), key=lambda pair: len(pair[1]))
        with service.frozen(frozen):
            await asyncio.sleep(2 * LEASE_S)
            tasks = {task["id"]: task for task in await ended(client, held)}
        await until(lambda: all(f'"task": "{id}"' in _refused(service) for id in held))
        for id in held:
            told = await history(client, id)
            assert [(one["attempt"], one["outcome"]) for one in told["attempts"]] == [(1, "lost"), (2, "complete")]
            assert [one["name"] for one in told["items"]].count("task.completed") == 1
            assert told["items"][-1]["name"] == "task.completed", "nothing follows an outcome"
            assert _pid(told["attempts"][1]["worker"]) != frozen
            assert (tasks[id]["attempt"], tasks[id]["result"]["attempt"]) == (2, 2)
        lost = "SELECT array_agg(DISTINCT lost) FROM postcommit.tasks WHERE id = ANY($1::uuid[])"
        assert await service.sql(lost, held) == [1]
        assert alive(frozen)
        await balanced(client)
    await service.sound()


async def test_a_standby_numbers_on_within_5_s_of_a_frozen_leader_who_does_no_harm_when_he_wakes(
    service: Running,
) -> None:
    async with service.client() as client:
        leader = await _leader(service)
        with service.frozen(leader):
            began = time.monotonic()
            event = (await _posted(client))["events"][0]
            numbered = "SELECT position FROM postcommit.ledger WHERE event = $1"
            await until_told(lambda: service.sql(numbered, event), 15, AWAY)
            took_s = time.monotonic() - began
            assert await _leader(service) != leader
            ids = [await probe(client) for _ in range(20)]
            await ended(client, ids)
        ids += [await probe(client) for _ in range(20)]
        await ended(client, ids)
        await balanced(client)
    await service.sound()
    assert alive(leader)
    print(f"The standby numbered on after {took_s:.1f} s.")
    assert took_s <= TAKEOVER_S


async def test_a_worker_that_is_asked_to_leave_finishes_short_work_and_gives_back_the_rest(service: Running) -> None:
    async with service.client() as client:
        long = await probe(client, work_s=60)
        short = await probes(client, [{"work_s": 1.0}] * 12)
        holders = await _holders(client, [long, *short])
        leaving = next(pid for pid, held in holders.items() if long in held)
        os.kill(leaving, signal.SIGTERM)
        asked = time.monotonic()
        later = await probes(client, [{"work_s": 0.1}] * 4)
        await until_told(lambda: _taken_by_another(client, long, leaving))
        took_s = time.monotonic() - asked
        assert took_s < 2.0 + LEASE_S, "its grace, not its lease, is what the next one waits for"
        await until(lambda: not alive(leaving), 12)
        tasks = await ended(client, short + later)
        assert {(task["status"], task["attempt"]) for task in tasks} == {("complete", 1)}
        assert leaving not in await _holders(client, later)
        told = await history(client, long)
        assert told["attempts"][0]["outcome"] == "stopped"
        assert await service.sql("SELECT max(lost) FROM postcommit.tasks WHERE id = $1::uuid", long) == 0
        await client.post(f"/v1/tasks/{long}/cancel")
        assert [task["status"] for task in await ended(client, [long])] == ["cancelled"]
        await balanced(client)
    await service.sound()


async def _posted(client: httpx.AsyncClient) -> dict[str, Any]:
    return dict((await client.post("/v1/tasks", json={"kind": "probe", "request": {}})).raise_for_status().json())


async def _holders(client: httpx.AsyncClient, ids: list[str]) -> dict[int, list[str]]:
    """Which worker process took which tasks, once all of them were started."""
    found: dict[str, int] = {}

    async def started() -> bool:
        for id in set(ids) - set(found):
            if attempts := (await history(client, id))["attempts"]:
                found[id] = _pid(attempts[-1]["worker"])
        return len(found) == len(ids)

    await until_told(started)
    return {pid: [id for id in ids if found[id] == pid] for pid in Counter(found.values())}


async def _taken_by_another(client: httpx.AsyncClient, id: str, pid: int) -> bool:
    return _pid((await history(client, id))["attempts"][-1]["worker"]) != pid


def _pid(worker: str) -> int:
    """Out of worker-<host>-<pid>."""
    return int(worker.rpartition("-")[2])


def _refused(service: Running) -> str:
    """What the workers said about results that came too late."""
    return "\n".join(line for line in service.log("worker").splitlines() if "worker.turn_passed" in line)


async def _leader(service: Running) -> int:
    """The process of the relay whose session holds the lock."""

    async def found() -> int:
        port = await service.sql(f"SELECT client_port FROM pg_stat_activity WHERE pid = ({LEADER})")
        return next((pid for pid in service.pids("relay") if port and _has_socket(pid, port)), 0)

    return await until_told(found, 30, AWAY)


def _has_socket(pid: int, port: int) -> bool:
    """Whether the process has a TCP connection from this local port (see proc_pid_net(5))."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {f"socket:[{row[9]}]" for row in rows if int(row[1].rpartition(":")[2], 16) == port}
    return any(str(fd.readlink()) in inodes for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink())
