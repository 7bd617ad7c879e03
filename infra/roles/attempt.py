"""One attempt: the request as its kind's record, the worker's function within its deadline, the outcome as a value."""

import asyncio

import msgspec
import structlog

from domain.job import Job, Worker
from domain.outcome import Done, Error, Outcome, Refused, Stumbled
from domain.task import Task

logger = structlog.get_logger()
MOST_RESULT = 512 * 1024  # bytes as JSON
MOST_DETAIL = 2_000  # characters of an error
OUTCOMES = (Done, Stumbled, Refused)


async def attempt(worker: Worker, task: Task, job: Job) -> Outcome:
    """Run the worker's function. Answers with its outcome; an unexpected exception is a stumble."""
    try:
        request = msgspec.convert(task.request | task.personal, worker.kind.request, strict=False)
    except msgspec.ValidationError as error:
        return Refused(error=Error(type="bad_request", detail=f"The request is not one of {worker.kind.name}: {error}"))
    try:
        async with asyncio.timeout(worker.kind.deadline_s) as deadline:
            outcome = await worker.work(request, job)
    except Exception as error:
        if isinstance(error, TimeoutError) and deadline.expired():
            detail = f"The attempt took longer than {worker.kind.deadline_s:g} s."
            return Stumbled(error=Error(type="deadline", detail=detail))
        logger.warning("worker.exception", task=str(job.id), kind=worker.kind.name, exc_info=error)
        return Stumbled(error=Error(type=type(error).__name__, detail=(str(error) or repr(error))[:MOST_DETAIL]))
    if not isinstance(outcome, OUTCOMES):
        detail = f"The worker of {worker.kind.name} answered a {type(outcome).__name__}, not Done, Stumbled or Refused."
        return Refused(error=Error(type="bad_outcome", detail=detail))
    return _storable(outcome, worker) if isinstance(outcome, Done) else outcome


def _storable(done: Done, worker: Worker) -> Outcome:
    """The result as plain values, if it can be stored."""
    try:
        encoded = msgspec.json.encode(done.result)
    except (TypeError, ValueError, OverflowError) as error:
        return Refused(error=Error(type="bad_result", detail=f"The result cannot be written as JSON: {error}"))
    if len(encoded) > MOST_RESULT:
        detail = f"The result has {len(encoded)} bytes; the most is {MOST_RESULT}. Put it in a file."
        return Refused(error=Error(type="result_too_large", detail=detail))
    return Done(result=msgspec.json.decode(encoded), progress=done.progress)
