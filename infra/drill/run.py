"""`postcommit drill`: the service under load and under faults, and then the verdict. It starts what it strikes."""

import asyncio
import json
import random
import shutil
import signal
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from infra.drill import growth, live, watch
from infra.drill.campaign import Campaign, say, strike
from infra.drill.disk import Absent, Disk, plugged
from infra.drill.evidence import Evidence, Live
from infra.drill.faults.table import FAULTS, NEEDING_A_DISK, NEEDING_A_STORE
from infra.drill.intents import Intents, read
from infra.drill.load import Load
from infra.drill.service import NotStarted, Service, started
from infra.drill.stories import clip
from infra.drill.subscriber import registered, subscribe
from infra.drill.verdict import Verdict, judge
from infra.exits import DONE, FAILED, Failed, Misused, Refused

CLIENTS, PAUSE_S = 12, 0.6
SETTINGS = {"POSTCOMMIT_LEASE_S": "5", "POSTCOMMIT_HEARTBEAT_S": "1", "POSTCOMMIT_GRACE_S": "5"}
SETTINGS |= {"POSTCOMMIT_VIDEO_SIDES": "144", "POSTCOMMIT_IMAGE_SIDES": "64,128"}
QUIET_S = 240.0  # within which all must have ended, after the last fault
DISK_BYTES = 16 * 1024**3  # of which the file takes what is used
MOST = 10  # offenders of one sort that are told to people


@dataclass(frozen=True, slots=True)
class Wanted:
    """A campaign as it is asked for: which faults, for how long, from which seed, and whether files are kept afar."""

    minutes: float
    seed: int
    kinds: Sequence[str]
    afar: bool


def drill(
    minutes: float, seed: int, faults: Sequence[str], home: Path | None, as_json: bool, afar: bool = False
) -> int:
    """Drill, and tell the verdict; answers with the exit code. `faults` are patterns of their names; none: all.

    Raises Misused where no fault has such a name, Refused where the directory is in use, Failed where it did not start
    or was told to end."""
    kinds = _named(faults, FAULTS)
    if home is not None and home.exists() and any(home.iterdir()):
        raise Refused(f"The drill begins in a directory of its own, and {home} is not empty.")
    place = (home or Path(tempfile.mkdtemp(prefix="postcommit-drill-"))).resolve()
    place.mkdir(parents=True, exist_ok=True)
    good = False
    try:
        with _disk(place, kinds) as disk:
            away = (NEEDING_A_DISK if disk is None else frozenset()) | (frozenset() if afar else NEEDING_A_STORE)
            left = [name for name in kinds if name not in away]
            if not left or minutes <= 0:
                raise Refused("There is no fault left to strike: a drill without one proves nothing.")
            verdict = asyncio.run(_drilled(place, disk, Wanted(minutes, seed, left, afar)))
            _kept(place, disk, verdict)
        skipped = sorted(set(kinds) - set(left))
        shown = {"good": verdict.good, "seed": seed, "minutes": minutes, "skipped": skipped, **asdict(verdict)}
        (place / "verdict.json").write_text(json.dumps(shown, indent=2))
        print(json.dumps(shown, indent=2) if as_json else told(verdict))
        good = verdict.good
    except NotStarted as error:
        raise Failed(f"The service under the drill did not start: {error}") from error
    except asyncio.CancelledError:
        raise Failed("The drill was told to end before its verdict.") from None
    finally:
        if home is None and good:
            shutil.rmtree(place)
        else:
            say(f"The evidence is kept in {place}")
    return DONE if good else FAILED


def _named(patterns: Sequence[str], every: Iterable[str]) -> list[str]:
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in every):
            raise Misused(f"No fault is named {pattern!r}. There are: {', '.join(sorted(every))}.")
    return [name for name in sorted(every) if not patterns or any(fnmatchcase(name, one) for one in patterns)]


@contextmanager
def _disk(place: Path, kinds: Sequence[str]) -> Iterator[Disk | None]:
    """A disk of its own, where a fault needs one and there can be one."""
    needing = [name for name in kinds if name in NEEDING_A_DISK]
    with ExitStack() as plugging:
        try:
            disk = plugging.enter_context(plugged(place, DISK_BYTES)) if needing else None
        except Absent as error:
            say(f"SKIPPED: {', '.join(needing)}: {error}.")
            disk = None
        yield disk


def _kept(place: Path, disk: Disk | None, verdict: Verdict) -> None:
    """Where something is wrong, the logs must outlive the disk."""
    if disk is not None and not verdict.good:
        shutil.copytree(disk.path / "service/logs", place / "logs")


@dataclass(slots=True)
class Watched:
    """What those have seen who watched."""

    seen: dict[int, str] = field(default_factory=dict)
    handed: list[Live] = field(default_factory=list)
    checks: live.Checks = field(default_factory=live.Checks)
    peaks: growth.Peaks = field(default_factory=growth.Peaks)

    async def watchers(self, service: Service) -> "list[asyncio.Task[None]]":
        consumers = await registered(service)
        return [
            asyncio.create_task(live.audit(service, self.seen)),
            asyncio.create_task(live.check(service, self.checks)),
            asyncio.create_task(growth.look(service, self.peaks)),
            asyncio.create_task(subscribe(consumers, self.handed)),
        ]


async def _drilled(home: Path, disk: Disk | None, wanted: Wanted) -> Verdict:
    _end_on_sigterm()
    watched = Watched()
    with Intents(home / "intents.jsonl") as intents:
        async with started(
            (disk.path if disk else home) / "service", SETTINGS, disk, home / "store.log" if wanted.afar else None
        ) as service:
            film = await asyncio.to_thread(clip, home / "clip.mp4")
            load = Load(service, intents, random.Random(wanted.seed), PAUSE_S, film)
            watching = await watched.watchers(service)
            loading = asyncio.create_task(load.run(CLIENTS))
            say(f"Seed {wanted.seed}: {wanted.minutes:g} minutes of {len(wanted.kinds)} kinds of faults, in {home}")
            campaign = await strike(service, wanted.kinds, wanted.seed, wanted.minutes * 60, home, [loading, *watching])
            load.stopping.set()
            with suppress(TimeoutError):  # what has no answer by then is told of
                await asyncio.wait_for(loading, QUIET_S)
            await _quiet(service, watched)
            await _ended(watching)
            return judge_all(await _evidence(home, service, load, watched, campaign), watched)


def _end_on_sigterm() -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


async def _ended(watching: "Sequence[asyncio.Task[None]]") -> None:
    """Raises what one of them has raised."""
    for one in watching:
        one.cancel()
    for one in watching:
        with suppress(asyncio.CancelledError):
            await one


async def _evidence(home: Path, service: Service, load: Load, watched: Watched, campaign: Campaign) -> Evidence:
    meant, heard = await asyncio.to_thread(read, home / "intents.jsonl")
    lines = await watch.replay(service)
    return Evidence(
        intents=meant,
        heard=heard,
        lines=lines,
        arrivals=await asyncio.to_thread(watch.arrivals, service.home),
        struck=campaign.struck,
        statuses=load.statuses,
        seen_live=watched.seen,
        subscribed=watched.handed,
        things=await watch.things(service, meant, heard),
        broken=await watch.broken(service),
        broken_meanwhile=watched.checks.broken,
        beyond=watched.peaks.beyond(len(lines)),
        failed=campaign.failed,
    )


def judge_all(evidence: Evidence, watched: Watched) -> Verdict:
    """The verdict, with the figures of those who watched."""
    verdict = judge(evidence)
    verdict.figures |= {"checks_meanwhile": watched.checks.done, "peaks": watched.peaks.figures()}
    return verdict


async def _quiet(service: Service, watched: Watched) -> None:
    """Until nothing is open, every fact is numbered and whoever watched has been told of all; or time is over: then the
    verdict tells what is left."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + QUIET_S
    async with service.client("operator") as client:
        while loop.time() < deadline:
            with suppress(httpx.HTTPError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                if await _is_quiet(service, client, watched):
                    return
            await asyncio.sleep(0.5)


async def _is_quiet(service: Service, client: httpx.AsyncClient, watched: Watched) -> bool:
    balance: dict[str, Any] = (await client.get("/v1/balance")).raise_for_status().json()
    async with service.postgres() as connection:
        unnumbered = await connection.fetchval("SELECT count(*) FROM postcommit.outbox")
        head = await connection.fetchval("SELECT max(position) FROM postcommit.ledger")
    ready = (await client.get("/readyz")).json()["status"] == "ok"
    told = max(watched.seen, default=0) >= head and max((one.position for one in watched.handed), default=0) >= head
    return bool(balance["open"] == 0 and balance["difference"] == 0 and unnumbered == 0 and ready and told)


def told(verdict: Verdict) -> str:
    """The verdict as a table."""
    lines = [f"{len(found):>6}  {name}" for name, found in verdict.wrong.items()]
    lines += [f"        {name}: {one}" for name, found in verdict.wrong.items() for one in found[:MOST]]
    lines += ["", *(f"{name:<22} {value}" for name, value in verdict.figures.items())]
    return "\n".join([*lines, "", "The verdict: " + ("nothing is wrong." if verdict.good else "NOT GOOD.")])
