"""Does the probe's work: sleeps, burns a processor in a child process, stumbles or refuses, as it is told."""

import asyncio
import sys

from domain.job import Job
from domain.outcome import Done, Error, Outcome, Refused, Stumbled
from domain.probe import Request, Result

STEP_S = 0.25
BURN = "import sys, time\nend = time.process_time() + float(sys.argv[1])\nwhile time.process_time() < end: pass"


async def probe(request: Request, job: Job) -> Outcome:
    if request.refuse:
        return Refused(error=Error(type="probe_refused", detail="The probe was told to refuse."))
    if request.work_s:
        await _sleep(request.work_s, job)
    if request.cpu_s:
        await _burn(request.cpu_s)
    if job.attempt <= request.fail_first:
        return Stumbled(error=Error(type="probe_stumbled", detail=f"Attempt {job.attempt} was told to fail."))
    return Done(result=Result(payload=request.payload, attempt=job.attempt))


async def _sleep(seconds: float, job: Job) -> None:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    while (gone := loop.time() - begin) < seconds:
        job.report(round(gone, 3), seconds, "s")
        await asyncio.sleep(min(STEP_S, seconds - gone))


async def _burn(seconds: float) -> None:
    child = await asyncio.create_subprocess_exec(sys.executable, "-I", "-c", BURN, str(seconds), env={})
    try:
        if await child.wait() != 0:
            raise RuntimeError(f"The child process ended with {child.returncode}.")
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
