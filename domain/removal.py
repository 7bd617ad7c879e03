"""Removal: what runs for a deleted thing is ended, and then its files are let go of."""

from typing import Literal
from uuid import UUID

from domain.kind import Kind
from domain.record import Record


class Request(Record, frozen=True):
    """`id` is that of a deleted video, image or report."""

    category: Literal["video", "image", "report"]
    id: UUID


class Result(Record, frozen=True):
    """How many tasks were cancelled."""

    cancelled: int


KIND: Kind[Request, Result] = Kind(
    name="removal", request=Request, result=Result, max_attempts=100, deadline_s=600.0, internal=True
)
