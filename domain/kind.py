"""What the service knows about a kind of task before any task of that kind exists."""

from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any, Generic, TypeVar

from domain.record import is_token, personal_fields

Request = TypeVar("Request")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Backoff:
    """A pause that doubles with every attempt, up to `longest_s`, shifted at random by up to `jitter` of itself."""

    first_s: float = 1.0
    longest_s: float = 600.0
    jitter: float = 0.2

    def pause(self, stumbles: int, chance: float) -> timedelta:
        """The pause after the given number of stumbles (1, 2, …); `chance` is uniform in 0..1."""
        plain = min(self.first_s * 2 ** min(stumbles - 1, 40), self.longest_s)
        return timedelta(seconds=plain * (1 + self.jitter * (2 * chance - 1)))


@dataclass(frozen=True, kw_only=True)
class Kind(Generic[Request, Result]):
    """A vocabulary for one sort of work.

    Raises ValueError where a name cannot be a token of a subject: `email_welcome`, never with a dot."""

    name: str
    request: type[Request]
    result: type[Result]
    queue: str = "default"
    max_attempts: int = 5  # how often an attempt may stumble or run out of time before the task fails
    deadline_s: float = 600.0  # for one attempt
    backoff: Backoff = field(default_factory=Backoff)
    internal: bool = False  # only what happens causes it: nobody may ask for it by name

    def __post_init__(self) -> None:
        for token in (self.name, self.queue):
            if not is_token(token):
                raise ValueError(f"{token!r} cannot be a token of a subject: use 1 to 64 of A-Z a-z 0-9 _ -.")

    @cached_property
    def personal(self) -> tuple[str, ...]:
        """The fields of the request that tell of a person."""
        return personal_fields(self.request)


AnyKind = Kind[Any, Any]
