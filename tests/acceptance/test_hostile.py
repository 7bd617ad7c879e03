"""Do files that are traps do any harm? Each fails in words; nothing else is read, nobody is called, nothing falls."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx

from tests.acceptance.running import QUICK, Running, ended, up
from tests.hostile import corpus
from tests.waiting import stat

LONGEST_S = 30  # for one of them, while others are looked at, too
MOST_MORE = 64  # MiB that a process may grow by
SECRET = b"the-secret-of-somebody-else " * 1_000
SIDES = {"POSTCOMMIT_VIDEO_SIDES": "90", "POSTCOMMIT_VIDEO_PRESET": "ultrafast"}


async def test_no_trap_does_any_harm(tmp_path: Path) -> None:
    called: list[Any] = []
    canary = await asyncio.start_server(
        lambda _, writer: called.append(writer.get_extra_info("peername")), "127.0.0.1", 0
    )
    port = canary.sockets[0].getsockname()[1]
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "secret.txt").write_bytes(SECRET)
    traps = await asyncio.to_thread(corpus, folder, f"http://127.0.0.1:{port}", folder / "secret.txt")
    assert len(traps) >= 40
    with up(tmp_path / "home", environ=QUICK | SIDES) as service:
        before = _memory(service)
        async with service.client("client", 60) as client:
            began = time.monotonic()
            videos = {name: await _sent(client, path) for name, path in traps.items()}
            tasks = dict(
                zip(videos, await ended(client, [one["tasks"][0] for one in videos.values()], 200), strict=True)
            )
            print(f"{len(traps)} traps in {time.monotonic() - began:.0f} s")
            wrong = {name: task for name, task in tasks.items() if task["status"] != "failed"}
            assert not wrong, {name: task["result"] for name, task in wrong.items()}
            for name, task in tasks.items():
                print(f"{name}: {task['error']['detail']}")
                assert task["error"]["type"] in ("not_a_film", "too_much") and task["error"]["detail"].endswith("."), (
                    task
                )
                assert task["attempt"] == 1 and "secret-of" not in str(task)
                shown = (await client.get(f"/v1/videos/{videos[name]['id']}")).json()
                assert (shown["status"], shown["error"]) == ("failed", task["error"])
        assert called == []
        grown = {name: after - before[name] for name, after in _memory(service).items()}
        assert max(grown.values()) <= MOST_MORE, grown
        assert not list((service.home / "scratch").rglob("made")), "nothing is left on the bench"
        await service.sound(60)
    canary.close()


async def _sent(client: httpx.AsyncClient, path: Path) -> dict[str, Any]:
    content = await asyncio.to_thread(path.read_bytes)
    answer = await client.post("/v1/videos", content=content, headers={"Content-Type": "video/mp4"})
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def _memory(service: Running) -> dict[str, float]:
    """MiB of each process of ours, at most so far; they are the same ones from the beginning to the end."""
    found = {}
    for pid, name in service.role_pids.items():
        lines = Path(f"/proc/{pid}/status").read_text().splitlines() if stat(pid) else []
        found[f"{name} {pid}"] = next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    return found
