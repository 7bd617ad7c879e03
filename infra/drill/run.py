"""`postcommit drill`: the service under load and under faults, and then the verdict. It starts what it strikes."""

import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from infra.drill import watch
from infra.drill.disk import Absent, Disk, plugged
from infra.drill.faults import FAULTS, ON_A_DISK
from infra.drill.intents import Intents, read
from infra.drill.load import Load
from infra.drill.schedule import Planned, schedule
from infra.drill.service import Ended, NotStarted, Service, started
from infra.drill.stories import clip
from infra.drill.verdict import Evidence, Struck, Verdict, judge
from infra.exits import DONE, FAILED, Failed, Misused, Refused

CLIENTS, PAUSE_S = 12, 0.3
SETTINGS = {"POSTCOMMIT_LEASE_S": "5", "POSTCOMMIT_HEARTBEAT_S": "1", "POSTCOMMIT_GRACE_S": "5"}
SETTINGS |= {"POSTCOMMIT_VIDEO_SIDES": "144", "POSTCOMMIT_IMAGE_SIDES": "64,128"}
QUIET_S = 240.0  # within which all must have ended, after the last fault
LONGEST_S = 300.0  # of one fault
UNSTRUCK = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
DISK_BYTES = 8 * 1024**3  # of which the file takes what is used
MOST = 10  # offenders of one sort that are told to people


def drill(minutes: float, seed: int, faults: Sequence[str], home: Path | None, as_json: bool) -> int:
    """Drill, and tell the verdict; answers with the exit code. `faults` are patterns of their names; none: all.

    Raises Misused where no fault has such a name, Refused where the directory is in use, Failed where it did not start.
    """
    every = FAULTS | ON_A_DISK
    kinds = _named(faults, every)
    if home is not None and home.exists() and any(home.iterdir()):
        raise Refused(f"The drill begins in a directory of its own, and {home} is not empty.")
    with tempfile.TemporaryDirectory(prefix="postcommit-drill-") as folder:
        place = home or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        try:
            with _disk(place, kinds, keep=home is not None) as disk:
                kinds = [name for name in kinds if disk is not None or name not in ON_A_DISK]
                if not kinds or minutes <= 0:
                    raise Refused("There is no fault left to strike: a drill without one proves nothing.")
                verdict = asyncio.run(_drilled(place, disk, minutes * 60, seed, kinds))
        except NotStarted as error:
            raise Failed(f"The service under the drill did not start: {error}") from error
    shown = {"good": verdict.good, "seed": seed, "minutes": minutes, **asdict(verdict)}
    print(json.dumps(shown, indent=2) if as_json else told(verdict))
    return DONE if verdict.good else FAILED


def _named(patterns: Sequence[str], every: Iterable[str]) -> list[str]:
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in every):
            raise Misused(f"No fault is named {pattern!r}. There are: {', '.join(sorted(every))}.")
    return [name for name in sorted(every) if not patterns or any(fnmatchcase(name, one) for one in patterns)]


@contextmanager
def _disk(place: Path, kinds: Sequence[str], keep: bool) -> Iterator[Disk | None]:
    """A disk of its own, where a fault needs one and there can be one."""
    needing = [name for name in kinds if name in ON_A_DISK]
    with ExitStack() as plugging:
        try:
            disk = plugging.enter_context(plugged(place, DISK_BYTES, keep)) if needing else None
        except Absent as error:
            _say(f"SKIPPED: {', '.join(needing)}: {error}.")
            disk = None
        yield disk


async def _drilled(home: Path, disk: Disk | None, seconds: float, seed: int, kinds: Sequence[str]) -> Verdict:
    every = FAULTS | ON_A_DISK
    planned = schedule(seed, seconds, {name: every[name].lasts_s for name in kinds})
    _say(f"Seed {seed}: {len(planned)} faults of {len(kinds)} kinds, in {home}")
    seen: dict[int, str] = {}
    intents = Intents(home / "intents.jsonl")
    async with started((disk.path if disk else home) / "service", SETTINGS, disk) as service:
        load = Load(service, intents, random.Random(seed), PAUSE_S, await asyncio.to_thread(clip, home / "clip.mp4"))
        loading = asyncio.create_task(load.run(CLIENTS))
        auditing = asyncio.create_task(watch.audit(service, seen))
        struck, failed = await _strike(
            service, planned, seed, home / "faults.jsonl", time.monotonic() + seconds, loading
        )
        load.stopping.set()
        with suppress(TimeoutError):  # what has no answer by then is told of
            await asyncio.wait_for(loading, QUIET_S)
        await _quiet(service)
        auditing.cancel()
        meant, heard = read(home / "intents.jsonl")
        return judge(
            Evidence(
                intents=meant,
                heard=heard,
                lines=await watch.replay(service),
                arrivals=watch.arrivals(service.home),
                struck=struck,
                statuses=load.statuses,
                seen_live=seen,
                things=await watch.things(service, meant, heard),
                broken=await watch.broken(service),
                failed=failed,
            )
        )


async def _strike(
    service: Service, planned: Sequence[Planned], seed: int, log: Path, until: float, loading: "asyncio.Task[None]"
) -> tuple[list[Struck], list[str]]:
    """One fault after the other, each told with its begin and its end; and those that could not strike."""
    struck, failed = list[Struck](), list[str]()
    with log.open("w") as file:
        for one in planned:
            await asyncio.sleep(one.after_s)
            if loading.done():  # nobody asks any more
                loading.result()
            if time.monotonic() > until:
                break
            fault, began = (FAULTS | ON_A_DISK)[one.kind], datetime.now(UTC)
            _say(f"{began:%H:%M:%S} {one.number:>4} {one.kind} {one.lasts_s:.1f} s")
            try:
                async with asyncio.timeout(LONGEST_S):
                    await fault.strike(service, one.lasts_s, random.Random(f"{seed} {one.number}"))
            except (*UNSTRUCK, Ended) as error:
                failed.append(f"{one.number} {one.kind}: {str(error) or type(error).__name__}")
                _say(f"  It could not strike: {failed[-1]}")
            struck.append(Struck(one.kind, began, datetime.now(UTC), fault.touches))
            file.write(json.dumps(asdict(one) | {"began": began, "ended": struck[-1].ended}, default=str) + "\n")
            file.flush()
    return struck, failed


async def _quiet(service: Service) -> None:
    """Until nothing is open and every fact is numbered, or time is over: then the verdict tells what is left."""
    deadline = time.monotonic() + QUIET_S
    async with service.client("operator") as client:
        while time.monotonic() < deadline:
            try:
                balance: dict[str, Any] = (await client.get("/v1/balance")).raise_for_status().json()
                async with service.postgres() as connection:
                    unnumbered = await connection.fetchval("SELECT count(*) FROM postcommit.outbox")
                ready = (await client.get("/readyz")).json()["status"] == "ok"
                if balance["open"] == 0 and balance["difference"] == 0 and unnumbered == 0 and ready:
                    return
            except (httpx.HTTPError, *UNSTRUCK):  # it is asked again
                pass
            await asyncio.sleep(0.5)


def told(verdict: Verdict) -> str:
    """The verdict as a table."""
    lines = [f"{len(found):>6}  {name}" for name, found in verdict.wrong.items()]
    lines += [f"        {name}: {one}" for name, found in verdict.wrong.items() for one in found[:MOST]]
    lines += ["", *(f"{name:<22} {value}" for name, value in verdict.figures.items())]
    return "\n".join([*lines, "", "The verdict: " + ("nothing is wrong." if verdict.good else "NOT GOOD.")])


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
