"""The welcome email: who gets it, and what it says."""

from dataclasses import dataclass
from html import escape
from uuid import UUID

from domain.kind import Backoff, Kind
from domain.record import Record


class Request(Record, frozen=True):
    """`account` is the id of the account; its address is read when the mail is sent, and stored nowhere else."""

    account: UUID


class Result(Record, frozen=True):
    message_id: str  # as the far side received it, the same for every attempt of one task
    answer: str  # of the mail server


KIND = Kind(
    name="email_welcome",
    request=Request,
    result=Result,
    queue="email",
    max_attempts=12,
    deadline_s=60.0,
    backoff=Backoff(first_s=2.0, longest_s=600.0),
)


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail before it has an address of its own: plain text and HTML say the same."""

    subject: str
    text: str
    html: str


def welcome(name: str) -> Letter:
    """What a new account is told."""
    return Letter(
        subject=f"Welcome, {name}",
        text=f"Hello {name},\n\nyour account is ready.\n",
        html=f"<p>Hello {escape(name)},</p><p>your account is ready.</p>",
    )


def message_id(task: UUID, domain: str) -> str:
    """The Message-ID (RFC 5322) of a task's mail: the same for every attempt, so that a repeat is recognised."""
    return f"<task-{task}@{domain}>"
