"""The bench's own kind: does nothing but write that it began."""

from typing import Any

from domain.job import Job
from domain.kind import Kind
from domain.outcome import Done, Outcome
from domain.record import Record
from tests.bench.record import began


class Request(Record, frozen=True):
    payload: dict[str, Any]


class Result(Record, frozen=True):
    id: int


KIND = Kind(name="noop", request=Request, result=Result)


async def noop(request: Request, job: Job) -> Outcome:
    began(request.payload)
    return Done(result=Result(id=request.payload["id"]))
