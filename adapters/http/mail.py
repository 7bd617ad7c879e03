"""The mails that the embedded mail sink has taken, so that nobody needs a mail program to see them."""

import asyncio
import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import msgspec
from litestar import Response
from litestar.params import FromPath, FromQuery

from adapters.http import examples
from adapters.http.auth import needs
from adapters.http.described import Reply, described
from adapters.http.desk import Call, desk
from adapters.http.methods import get
from adapters.http.page import Limit, limited, page
from adapters.http.problems import Problem
from adapters.http.shown import ok
from domain.access import Right

NAME = re.compile(r"(\d{8}T\d{6}\.\d{6}Z)-[0-9a-f]+")  # of the file without .eml: it sorts by time


class Mail(msgspec.Struct, kw_only=True):
    name: str
    from_: str = msgspec.field(name="from")
    to: str
    subject: str
    message_id: str
    received_at: datetime
    text: str | None
    html: str | None


class MailPage(msgspec.Struct):
    items: list[Mail]
    next: str | None


WELCOME = Mail(
    name="20300131T120000.000000Z-5f2c",
    from_="postcommit@example.com",
    to="ann@example.com",
    subject="Welcome, Ann",
    message_id=f"<task-{examples.TASK_ID}@example.com>",
    received_at=examples.AT,
    text="Hello Ann,\n\nyour account is ready.\n",
    html="<p>Hello Ann,</p><p>your account is ready.</p>",
)
LIST = described("list_mail", "Mail", {200: Reply(MailPage, MailPage([WELCOME], WELCOME.name), may=["Link"])})
SEE = described("see_mail", "Mail", {200: Reply(Mail, WELCOME)})


@get("/v1/mail", opt=needs(Right.READ_MAIL) | LIST)
async def list_mail(request: Call, after: FromQuery[str | None] = None, limit: Limit = 50) -> Response[bytes]:
    """The mails that were delivered, newest first."""
    most = limited(limit)
    found = await asyncio.to_thread(_newest, _folder(request), after, most)
    return page(found, found[-1].name if len(found) == most else None, request)


@get("/v1/mail/{name:str}", opt=needs(Right.READ_MAIL) | SEE)
async def see_mail(request: Call, name: FromPath[str]) -> Response[bytes]:
    """One mail."""
    path = _folder(request) / f"{name}.eml"
    if not NAME.fullmatch(name) or not path.is_file():
        raise Problem("not-found", f"There is no mail {name[:64]!r}.")
    return ok(await asyncio.to_thread(read, path))


def read(path: Path) -> Mail:
    """A mail from its file; a header that is missing is empty."""
    message = message_from_bytes(path.read_bytes(), policy=policy.default)
    assert isinstance(message, EmailMessage), "The default policy makes these."
    received = NAME.fullmatch(path.stem)
    assert received is not None, "Files of other names are left alone."
    return Mail(
        name=path.stem,
        from_=str(message["from"] or ""),
        to=str(message["to"] or ""),
        subject=str(message["subject"] or ""),
        message_id=str(message["message-id"] or "").strip(),
        received_at=datetime.strptime(received.group(1), "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC),
        text=_part(message, "plain"),
        html=_part(message, "html"),
    )


def _newest(folder: Path, after: str | None, limit: int) -> list[Mail]:
    names = sorted((path for path in folder.glob("*.eml") if NAME.fullmatch(path.stem)), reverse=True)
    return [read(path) for path in names if after is None or path.stem < after][:limit]


def _part(message: EmailMessage, kind: str) -> str | None:
    part = message.get_body(preferencelist=(kind,))
    return str(part.get_content()) if part is not None else None


def _folder(request: Call) -> Path:
    folder = desk(request).service.mail
    assert folder is not None, "Without a mail sink these routes are not there."
    return folder
