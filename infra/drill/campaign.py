"""A campaign of faults, one after the other, each told with its begin and its end."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import TextIO

import asyncpg

from adapters.postgres.database import GONE
from infra.drill.evidence import Struck
from infra.drill.faults.fault import Missed
from infra.drill.faults.table import FAULTS
from infra.drill.schedule import Planned, schedule
from infra.drill.service import Ended, NotStarted, Service

LONGEST_S = 300.0  # of one fault
UNSTRUCK = (Missed, Ended, asyncpg.PostgresError, subprocess.CalledProcessError, *GONE)


@dataclass(slots=True)
class Campaign:
    """The faults that struck, and those that could not."""

    struck: list[Struck] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


async def strike(
    service: Service,
    kinds: Sequence[str],
    seed: int,
    seconds: float,
    settle_s: float,
    home: Path,
    others: "Sequence[asyncio.Task[None]]",
) -> Campaign:
    """Strike for so many seconds, by a schedule from the seed, and write it down in the home.

    Raises what one of the others has raised that work beside it, and NotStarted where the service did not come back."""
    forms = {name: (FAULTS[name].lasts_s, FAULTS[name].weight) for name in kinds}
    planned = schedule(seed, seconds, forms, settle_s)
    until, campaign = time.monotonic() + seconds, Campaign()
    with (home / "faults.jsonl").open("w") as file:
        for one in planned:
            await asyncio.sleep(one.after_s)
            for other in others:
                if other.done():
                    other.result()
            if time.monotonic() > until:
                break
            await _one(service, one, Random(f"{seed} {one.number}"), campaign)
            _write(file, one, campaign)
    return campaign


async def _one(service: Service, planned: Planned, chance: Random, campaign: Campaign) -> None:
    fault, began = FAULTS[planned.kind], datetime.now(UTC)
    say(f"{began:%H:%M:%S} {planned.number:>4} {planned.kind} {planned.lasts_s:.1f} s")
    try:
        async with asyncio.timeout(LONGEST_S):
            await fault.strike(service, planned.lasts_s, chance)
    except NotStarted:  # nothing is left to strike
        raise
    except UNSTRUCK as error:
        campaign.failed.append(f"{planned.number} {planned.kind}: {str(error) or type(error).__name__}")
        say(f"  It could not strike: {campaign.failed[-1]}")
    campaign.struck.append(Struck(planned.kind, began, datetime.now(UTC), fault.touches))


def _write(file: TextIO, planned: Planned, campaign: Campaign) -> None:
    last = campaign.struck[-1]
    file.write(json.dumps(asdict(planned) | {"began": last.began, "ended": last.ended}, default=str) + "\n")
    file.flush()


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
