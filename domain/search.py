"""What can be found, and by which words: a fold of the log into documents. And the kind that builds the index anew."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from domain import account, item, order, video
from domain.kind import Backoff, Kind
from domain.log import Fact, Recorded
from domain.record import Record

CATEGORIES = ("account", "item", "order", "video")
Name = tuple[str, UUID]  # category, id


class Overtaken(Exception):
    """Another rebuild has begun meanwhile, and goes on instead of this one."""


class Document(Record, frozen=True):
    """What is searched of one thing. `owner` is who made it, None where the fact changes a thing that exists."""

    title: str
    body: str
    at: datetime
    owner: str | None = None


def documents(recorded: Iterable[Recorded]) -> Mapping[Name, Document | None]:
    """What these facts make of the documents that they touch; None for one that is gone."""
    found: dict[Name, Document | None] = {}
    for fact in (one.fact for one in recorded):
        category, _, id = fact.stream.partition("-")
        if category not in CATEGORIES:
            continue
        name = category, UUID(id)
        match _of(fact):
            case Document() as document:
                before = found.get(name)
                owner = document.owner or (before.owner if before is not None else None)
                found[name] = Document(title=document.title, body=document.body, at=document.at, owner=owner)
            case bool():
                found[name] = None
            case None:
                pass
    return found


def _of(fact: Fact) -> Document | bool | None:
    """The document as it is from now on; False where there is none any more, None where nothing changes."""
    match fact.event:
        case account.Registered(email=email, name=name):
            return _new(fact, name, f"{email} {email.replace('@', ' ').replace('.', ' ')}")
        case item.Created(details=details):
            return _new(fact, details.name, details.description)
        case item.Changed(after=details):
            return Document(title=details.name, body=details.description, at=fact.at)
        case item.Deleted() | video.Deleted():
            return False
        case order.Created(lines=lines):
            return _new(fact, ", ".join(dict.fromkeys(line.name for line in lines)), fact.stream.partition("-")[2])
        case video.Created(filename=filename, source=source):
            return _new(fact, filename or "video", f"{(filename or '').replace('.', ' ')} {source.sha256}")
        case _:
            return None


def _new(fact: Fact, title: str, body: str) -> Document:
    return Document(title=title, body=body, at=fact.at, owner=fact.meta.actor)


class Wanted(Record, frozen=True):
    """What is looked for, behind the one with the score and the id of `after`; no categories mean all."""

    words: str
    owner: str | None
    categories: tuple[str, ...] = ()
    after: tuple[str, UUID] | None = None
    limit: int = 20


class Found(Record, frozen=True):
    category: str
    id: UUID
    title: str
    at: datetime
    score: str  # a decimal number
    highlight: str


class Request(Record, frozen=True):
    """Nothing has to be said."""


class Result(Record, frozen=True):
    """The index that took the old one's place: the log up to `position`, and how many documents there are."""

    position: int
    documents: int
    differences: int  # rows of the old one that were not so in the new one


KIND: Kind[Request, Result] = Kind(
    name="search_rebuild",
    request=Request,
    result=Result,
    max_attempts=5,
    deadline_s=86_400.0,
    backoff=Backoff(first_s=1.0, longest_s=60.0),
    internal=True,
)
