"""One attempt: the request as its kind's record, the worker's function within its deadline, the outcome as a value."""

import asyncio
from math import isfinite
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace

from domain.job import Job, Worker
from domain.outcome import Done, Error, Outcome, Progress, Refused, Stumbled
from domain.record import MOST_DEPTH, MOST_JSON, cleaned, depth
from domain.task import Task

logger = structlog.get_logger()
MOST_TYPE, MOST_DETAIL = 100, 2_000  # characters of an error
MOST_UNIT, MOST_NOTE = 40, 400  # characters of progress
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
        logger.warning("worker.exception", exc_info=error)
        return Stumbled(error=_stored(Error(type=type(error).__name__, detail=str(error) or repr(error))))
    if not isinstance(outcome, OUTCOMES):
        detail = f"The worker of {worker.kind.name} answered a {type(outcome).__name__}, not Done, Stumbled or Refused."
        return Refused(error=Error(type="bad_outcome", detail=detail))
    return _storable(outcome) if isinstance(outcome, Done) else replace(outcome, error=_stored(outcome.error))


def _stored(error: Error) -> Error:
    """The error as it may stand in the log for ever."""
    return Error(type=cleaned(error.type, MOST_TYPE), detail=cleaned(error.detail, MOST_DETAIL))


def _storable(done: Done) -> Outcome:
    """The result as plain values, if it can be stored."""
    try:
        encoded = msgspec.json.encode(done.result)
        result = msgspec.json.decode(encoded)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        return _bad(f"The result cannot be written as JSON: {error}")
    if len(encoded) > MOST_JSON:
        detail = f"The result has {len(encoded)} bytes; the most is {MOST_JSON}. Put it in a file."
        return Refused(error=Error(type="result_too_large", detail=detail))
    if depth(result) > MOST_DEPTH:
        return _bad(f"The result is nested more than {MOST_DEPTH} levels deep.")
    if b"null" in encoded and not _finite(msgspec.to_builtins(done.result)):
        return _bad("The result holds NaN or infinity, which JSON cannot write.")
    return Done(result=result, progress=sound(done.progress))


def _bad(detail: str) -> Refused:
    return Refused(error=Error(type="bad_result", detail=detail))


def _finite(value: Any) -> bool:
    if isinstance(value, list | tuple | dict):
        return all(map(_finite, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, float) or isfinite(value)


def sound(progress: Progress | None) -> Progress | None:
    """The progress as it can be stored; None where its numbers are none (an ffmpeg that says "N/A")."""
    if progress is None or not (isfinite(progress.done) and isfinite(progress.total)):
        return None
    return replace(progress, unit=cleaned(progress.unit, MOST_UNIT), note=cleaned(progress.note, MOST_NOTE))
