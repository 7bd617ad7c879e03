"""Does every role tell of the work that it did, on a port of its own?"""

import socket
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.running import QUICK, balanced, ended, probes, up
from tests.waiting import until_told

DONE = 7


async def test_the_roles_tell_of_known_work(tmp_path: Path) -> None:
    first = free_ports(3)
    with up(tmp_path / "home", environ=QUICK | {"POSTCOMMIT_METRICS_PORT": str(first)}) as running:
        async with running.client() as client:
            assert {one["status"] for one in await ended(client, await probes(client, [{}] * DONE))} == {"complete"}
            await balanced(client)
        head = await running.sql("SELECT max(position) FROM postcommit.ledger")
        relay, worker, reader = (f"http://127.0.0.1:{first + place}/metrics" for place in range(3))
        async with httpx.AsyncClient(trust_env=False) as http:

            async def all_told() -> bool:
                one, told = await samples(http, relay), await samples(http, reader)
                mirrored = one["postcommit_relay_mirrored_total", ""]
                return mirrored == head == told.get(("postcommit_reader_applied_total", "audit"))

            await until_told(all_told, 20)
            of_relay, of_worker = await samples(http, relay), await samples(http, worker)
    assert of_relay["postcommit_relay_leads", ""] == 1 and of_relay["postcommit_relay_numbered_total", ""] == head
    assert of_relay["postcommit_leg_seconds_count", "mirror"] == head
    assert 0 < of_relay["postcommit_leg_seconds_count", "sequence"] <= head
    assert of_worker["postcommit_attempts_total", "probe done"] == DONE
    assert (
        of_worker["postcommit_leg_seconds_count", "claim"] == of_worker["postcommit_leg_seconds_count", "run"] == DONE
    )
    assert of_worker["postcommit_worker_held", ""] == 0 < of_worker["postcommit_worker_slots", ""]


async def samples(http: httpx.AsyncClient, url: str) -> dict[tuple[str, str], float]:
    text = (await http.get(url)).raise_for_status().text
    found = [one for family in text_string_to_metric_families(text) for one in family.samples if "le" not in one.labels]
    named = [(one.name, " ".join(one.labels.values())) for one in found]
    assert max(Counter(named).values()) == 1
    return dict(zip(named, (one.value for one in found), strict=True))


def free_ports(number: int) -> int:
    """The first of so many ports in a row that are free."""
    for first in range(20_000, 30_000, number):
        with ExitStack() as held:
            try:
                for port in range(first, first + number):
                    held.enter_context(socket.create_server(("127.0.0.1", port)))
                return first
            except OSError:
                continue
    raise AssertionError("There is no free port.")
