"""The probe: a task for tests and drills, whose outcome is known before it is sent."""

from typing import Annotated, Any

import msgspec

from domain.kind import Backoff, Kind
from domain.record import Record

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]


class Request(Record, frozen=True):
    work_s: Seconds = 0.0  # how long it sleeps
    cpu_s: Seconds = 0.0  # how long it burns a processor, in a child process
    fail_first: Annotated[int, msgspec.Meta(ge=0)] = 0  # how many attempts stumble before one succeeds
    refuse: bool = False
    payload: Any = None  # comes back in the result


class Result(Record, frozen=True):
    payload: Any
    attempt: int


KIND = Kind(
    name="probe",
    request=Request,
    result=Result,
    queue="default",
    max_attempts=5,
    deadline_s=3_600.0,
    backoff=Backoff(first_s=0.2, longest_s=5.0),
)
