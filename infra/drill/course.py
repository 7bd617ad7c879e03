"""The course of a drill: the service is started, loaded, watched and struck; then all is quiet, and it is judged."""

import asyncio
import random
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from nats.errors import Error as NatsError

from infra.drill import findings, growth, watching
from infra.drill.campaign import UNSTRUCK, Campaign, say, strike
from infra.drill.disk import Disk
from infra.drill.effects import HEARTBEAT_S, LEASE_S
from infra.drill.evidence import Evidence, Live
from infra.drill.intents import Intents, read
from infra.drill.load import Load
from infra.drill.mirrored import behind, last_in_stream
from infra.drill.service import Service, started
from infra.drill.stories import clip
from infra.drill.subscriber import FILTERS, registered, subscribe
from infra.drill.verdict import Verdict, judge
from infra.exits import Failed

CLIENTS, PAUSE_S = 12, 0.6
SETTINGS = {"POSTCOMMIT_LEASE_S": f"{LEASE_S}", "POSTCOMMIT_HEARTBEAT_S": f"{HEARTBEAT_S}", "POSTCOMMIT_GRACE_S": "5"}
SETTINGS |= {"POSTCOMMIT_VIDEO_SIDES": "144", "POSTCOMMIT_IMAGE_SIDES": "64,128"}
QUIET_S = 240.0  # without any new fact, until what is left counts as stuck
LONGEST_S = 1_800.0  # in all, after the last fault


@dataclass(frozen=True, slots=True)
class Wanted:
    """A campaign as it is asked for: which faults, for how long, from which seed, how many seconds at most from one to
    the next, and whether files are kept afar."""

    minutes: float
    seed: int
    settle_s: float
    kinds: Sequence[str]
    afar: bool


@dataclass(slots=True)
class Watched:
    """What those have seen who watched."""

    seen: dict[int, str] = field(default_factory=dict)
    handed: list[Live] = field(default_factory=list)
    checks: watching.Checks = field(default_factory=watching.Checks)
    peaks: growth.Peaks = field(default_factory=growth.Peaks)

    async def watchers(self, service: Service) -> "list[asyncio.Task[None]]":
        consumers = await registered(service)
        return [
            asyncio.create_task(watching.audit(service, self.seen)),
            asyncio.create_task(watching.check(service, self.checks)),
            asyncio.create_task(growth.look(service, self.peaks)),
            asyncio.create_task(subscribe(consumers, self.handed)),
        ]


async def drilled(home: Path, disk: Disk | None, wanted: Wanted) -> Verdict:
    """Start, load, strike, wait until all is quiet, judge.

    Raises NotStarted, Failed where the service cannot be asked at the end, CancelledError after a SIGTERM."""
    _end_on_sigterm()
    watched = Watched()
    with Intents(home / "intents.jsonl") as intents:
        async with started(
            (disk.path if disk else home) / "service", SETTINGS, disk, home / "store.log" if wanted.afar else None
        ) as service:
            film = await asyncio.to_thread(clip, home / "clip.mp4")
            load = Load(service, intents, random.Random(wanted.seed), PAUSE_S, film)
            watchers = await watched.watchers(service)
            loading = asyncio.create_task(load.run(CLIENTS))
            say(f"Seed {wanted.seed}: {wanted.minutes:g} minutes of {len(wanted.kinds)} kinds of faults, in {home}")
            seconds, others = wanted.minutes * 60, [loading, *watchers]
            campaign = await strike(service, wanted.kinds, wanted.seed, seconds, wanted.settle_s, home, others)
            load.stopping.set()
            with suppress(TimeoutError):  # what has no answer by then is told of
                await asyncio.wait_for(loading, QUIET_S)
            unquiet = await _quiet(service, watched)
            await _ended(watchers)
            try:
                evidence = await _evidence(home, service, load, watched, campaign, unquiet)
            except (httpx.HTTPError, OSError, TimeoutError) as error:
                raise Failed(f"At its end the drill could not ask the service: {error!r}.") from error
    return judge_all(evidence, watched)


def _end_on_sigterm() -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


async def _ended(watchers: "Sequence[asyncio.Task[None]]") -> None:
    """Raises what one of them has raised."""
    for one in watchers:
        one.cancel()
    for one in watchers:
        with suppress(asyncio.CancelledError):
            await one


async def _evidence(
    home: Path, service: Service, load: Load, watched: Watched, campaign: Campaign, unquiet: Sequence[str]
) -> Evidence:
    meant, heard = await asyncio.to_thread(read, home / "intents.jsonl")
    lines = await findings.replay(service)
    return Evidence(
        intents=meant,
        heard=heard,
        lines=lines,
        arrivals=await asyncio.to_thread(findings.arrivals, service.home),
        struck=campaign.struck,
        statuses=load.statuses,
        seen_live=watched.seen,
        subscribed=watched.handed,
        files=len(findings.kept_files(service.home / "files")),
        torn=await asyncio.to_thread(findings.torn, service.home / "files"),
        things=await findings.things(service, meant, heard),
        broken=await findings.broken(service),
        broken_meanwhile=watched.checks.broken,
        beyond=watched.peaks.beyond(len(lines)),
        unquiet=unquiet,
        failed=campaign.failed,
    )


def judge_all(evidence: Evidence, watched: Watched) -> Verdict:
    """The verdict, with the figures of those who watched."""
    verdict = judge(evidence)
    idle = [name for name, times in (("check", watched.checks.done), ("growth", watched.peaks.looks)) if not times]
    verdict.wrong["never_looked"] = [f"{name}: not once" for name in idle]
    verdict.figures |= {"checks_meanwhile": watched.checks.done, "peaks": watched.peaks.figures()}
    return verdict


async def _quiet(service: Service, watched: Watched) -> list[str]:
    """Until all is quiet, or nothing has moved for too long; answers with what keeps it from being so."""
    loop = asyncio.get_running_loop()
    begun = moved = loop.time()
    head, found = 0, ["nothing could be asked"]
    async with service.client("operator") as client:
        while loop.time() < min(moved + QUIET_S, begun + LONGEST_S):
            with suppress(httpx.HTTPError, NatsError, *UNSTRUCK):
                now, found = await _unquiet(service, client, watched)
                if not found:
                    return []
                if now > head:
                    head, moved = now, loop.time()
            await asyncio.sleep(0.5)
    return found


async def _unquiet(service: Service, client: httpx.AsyncClient, watched: Watched) -> tuple[int, list[str]]:
    """The last position of the log, and who is not there yet."""
    balance: dict[str, Any] = (await client.get("/v1/balance")).raise_for_status().json()
    ready: str = (await client.get("/readyz")).json()["status"]
    async with service.postgres() as connection:
        unnumbered: int = await connection.fetchval("SELECT count(*) FROM postcommit.outbox")
        cursors = await connection.fetch("SELECT name, position FROM postcommit.cursors")
        head: int = await connection.fetchval("SELECT max(position) FROM postcommit.ledger")
    reached = {f"reader {row['name']}": row["position"] for row in cursors}
    reached["the stream"] = await last_in_stream(service)
    reached["the auditor"] = max(watched.seen, default=0)
    return head, [
        *([f"{balance['open']} tasks are open"] if balance["open"] else []),
        *([f"the balance differs by {balance['difference']}"] if balance["difference"] else []),
        *([f"{unnumbered} facts have no number"] if unnumbered else []),
        *([f"/readyz says {ready}"] if ready != "ok" else []),
        *(f"{name} is at {position} of {head}" for name, position in reached.items() if position < head),
        *(f"the consumer {name} has not acknowledged everything" for name in await behind(service, FILTERS)),
    ]
