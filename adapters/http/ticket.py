"""Tickets: addresses under which the files of one video can be read for some hours, without a key in a header.

A player in a browser sends no header of ours, and finds the parts of a film beside its playlist: so the right to read
them stands in the folder's name. It is signed with the hash of the key that asked, and ends with that key."""

import hmac
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NoBase64
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

from adapters.http.auth import secret_of
from adapters.http.desk import Call, desk
from adapters.http.problems import Problem
from domain.key import may_be_called

LASTS = timedelta(hours=12)
STEP_S = 3_600  # the same ticket for as long, so that a browser keeps what it has loaded
MARK = 16  # bytes
HEAD = struct.Struct(">I16s")  # when it ends, in seconds since 1970, and the video; the name of the key follows


def folder(request: Call, id: UUID) -> str:
    """Where whoever is told of it may read the files of this video: for 12 to 13 hours."""
    until = desk(request).service.now() + LASTS
    ends = (int(until.timestamp()) // STEP_S + 1) * STEP_S
    said = HEAD.pack(ends, id.bytes) + request.user.name.encode()
    mark = _mark(sha256(secret_of(request).encode()).digest(), said)
    return f"/v1/play/{urlsafe_b64encode(mark + said).decode().rstrip('=')}"


async def opened(request: Call, ticket: str) -> UUID:
    """The video; its holder is the request's user from here on. Raises Problem where the ticket is none, or has
    ended."""
    service = desk(request).service
    try:
        whole = urlsafe_b64decode(ticket + "=" * (-len(ticket) % 4))
        mark, said = whole[:MARK], whole[MARK:]
        ends, id = HEAD.unpack_from(said)
        name = said[HEAD.size :].decode()
    except (NoBase64, ValueError, struct.error):
        raise _no_ticket() from None
    found = await service.find_signer(name) if may_be_called(name) else None
    if found is None or not any(hmac.compare_digest(mark, _mark(hash, said)) for hash in found[1]):
        raise _no_ticket()
    if service.now() >= (end := datetime.fromtimestamp(ends, UTC)):
        raise Problem("gone", f"This address was good until {end:%Y-%m-%d %H:%M} UTC: ask for the video again.")
    request.scope["user"] = found[0]
    return UUID(bytes=id)


def _mark(hash: bytes, said: bytes) -> bytes:
    return hmac.digest(hash, b"play\n" + said, "sha256")[:MARK]


def _no_ticket() -> Problem:
    return Problem("not-found", "This address leads to no film, or the key that asked for it was revoked.")
