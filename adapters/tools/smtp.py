"""Sends mail by SMTP (RFC 5321). An answer of 5xx is final; everything else is worth another try."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from urllib.parse import unquote, urlsplit

import aiosmtplib

from domain.record import cleaned

TIMEOUT_S = 20.0
MOST_ANSWER = 500  # characters of the server's own words


@dataclass(frozen=True, slots=True)
class Mail:
    message_id: str
    to: str
    to_name: str
    subject: str
    text: str
    html: str


class Rejected(Exception):
    """The mail server refused this mail for good (5xx), or it cannot be sent as it is."""


Send = Callable[[Mail], Awaitable[str]]
"""Sends one mail and answers with the server's own words. Raises Rejected, or any other error worth another try."""


def smtp(url: str, sender: str) -> Send:
    """A sender over `smtp://user:password@host:port` or `smtps://…`."""
    parts = urlsplit(url)

    async def send(mail: Mail) -> str:
        try:
            _, answer = await aiosmtplib.send(
                compose(mail, sender),
                hostname=parts.hostname,
                port=parts.port,
                username=unquote(parts.username) if parts.username else None,
                password=unquote(parts.password) if parts.password else None,
                use_tls=parts.scheme == "smtps",
                timeout=TIMEOUT_S,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            _reject_if_final(error.recipients[0].code, error.recipients[0].message)
            raise
        except aiosmtplib.SMTPResponseException as error:
            _reject_if_final(error.code, error.message)
            raise
        return cleaned(answer, MOST_ANSWER)

    return send


def compose(mail: Mail, sender: str) -> EmailMessage:
    """Text and HTML of the same mail. The policy refuses line breaks in headers; that raises Rejected."""
    message = EmailMessage()
    try:
        message["From"] = sender
        message["To"] = str(Address(display_name=mail.to_name, addr_spec=mail.to))
        message["Subject"] = mail.subject
        message["Message-ID"] = mail.message_id
        message["Date"] = format_datetime(datetime.now(UTC))
    except (ValueError, MessageError) as error:
        raise Rejected(f"The mail cannot be written: {error}") from error
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    return message


def domain_of(sender: str) -> str:
    """The domain of "Name <user@domain>"."""
    return parseaddr(sender)[1].rpartition("@")[2]


def _reject_if_final(code: int, words: str) -> None:
    if 500 <= code < 600:
        raise Rejected(f"The mail server answered {code}: {words}")
