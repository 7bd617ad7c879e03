"""The headers of tus 1.0.0, the protocol of resumable uploads (https://tus.io/protocols/resumable-upload)."""

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from hashlib import new
from typing import Any

import msgspec
from litestar import Request

from adapters.http.methods import OPTIONS
from adapters.http.origin import header
from adapters.http.problems import Problem, invalid
from adapters.http.shape import flaws
from domain.file import ALGORITHMS, Checksum
from domain.upload import Begun, Given

VERSION = "1.0.0"
RESUMABLE = {"Tus-Resumable": VERSION}
EXTENSIONS = ("creation", "creation-with-upload", "expiration", "termination", "checksum")
BYTES = "application/offset+octet-stream"
KNOWN = frozenset(Given.__struct_fields__) - {"size_bytes"}
WHOLE = re.compile(r"[0-9]{1,18}")
NAME = re.compile(r"[!-+.-~]{1,64}")  # printable ASCII without space and comma
MOST_METADATA = 32


ASKED = {  # the `opt` of a route whose OPTIONS tells of tus
    OPTIONS: RESUMABLE
    | {
        "Tus-Version": VERSION,
        "Tus-Extension": ",".join(EXTENSIONS),
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
    }
}


@asynccontextmanager
async def spoken(request: Request[Any, Any, Any]) -> AsyncIterator[None]:
    """A conversation in tus: what goes wrong in it is told in tus, too. Raises Problem."""
    _require_version(request)
    try:
        yield
    except Problem as problem:
        problem.headers = RESUMABLE | dict(problem.headers)
        raise


def _require_version(request: Request[Any, Any, Any]) -> None:
    """Raises Problem where the client speaks another version, or does not say."""
    told = header(request.scope, b"tus-resumable")
    if told != VERSION:
        said = f"this says {told[:16]!r}" if told else "this does not say"
        raise Problem(
            "other-tus", f"Send Tus-Resumable: {VERSION}; {said}.", headers=RESUMABLE | {"Tus-Version": VERSION}
        )


def given_of(request: Request[Any, Any, Any]) -> Given:
    """What is announced: the length, and in the metadata what we know; what else stands there is the client's own.
    Raises Problem."""
    if header(request.scope, b"upload-defer-length") is not None:
        raise _wrong("Upload-Defer-Length", "Say the length at once, as Upload-Length")
    known = metadata(header(request.scope, b"upload-metadata") or "")
    said = {name: value for name, value in known.items() if name in KNOWN and value}
    values = {"size_bytes": number(request, "Upload-Length")} | said
    if found := flaws(values, Given):
        told = [f"{one['pointer'][1:]}: {one['detail']}" for one in found]
        raise invalid([{"header": "Upload-Metadata", "detail": detail} for detail in told])
    return msgspec.convert(values, Given)


def metadata(text: str) -> Mapping[str, str]:
    """Names with their values, decoded from Base64. Raises Problem."""
    found: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        name, _, coded = pair.partition(" ")
        if not NAME.fullmatch(name) or name in found or len(found) == MOST_METADATA:
            raise _wrong("Upload-Metadata", f"Expected names of printable ASCII, each once, at most {MOST_METADATA}")
        try:
            found[name] = b64decode(coded.strip(), validate=True).decode()
        except (NotBase64, ValueError):
            raise _wrong("Upload-Metadata", f"The value of {name!r} is not UTF-8 text as Base64") from None
    return found


def metadata_of(begun: Begun) -> dict[str, str]:
    """The header that tells what is kept of it."""
    kept = {name: value for name in sorted(KNOWN) if (value := getattr(begun, name)) is not None}
    return {"Upload-Metadata": ",".join(f"{name} {b64encode(value.encode()).decode()}" for name, value in kept.items())}


def number(request: Request[Any, Any, Any], name: str) -> int:
    """A whole number of bytes. Raises Problem."""
    told = header(request.scope, name.lower().encode())
    if told is None or not WHOLE.fullmatch(told):
        raise _wrong(name, "Expected a whole number of bytes" + (f", not {told[:32]!r}" if told is not None else ""))
    return int(told)


def checksum(request: Request[Any, Any, Any]) -> Checksum | None:
    """What the body must sum up to. Raises Problem."""
    told = header(request.scope, b"upload-checksum")
    if told is None:
        return None
    algorithm, _, coded = told.partition(" ")
    if algorithm not in ALGORITHMS:
        raise _wrong("Upload-Checksum", f"Expected one of {', '.join(ALGORITHMS)} and the digest as Base64")
    try:
        digest = b64decode(coded.strip(), validate=True)
    except (NotBase64, ValueError):
        digest = b""
    if len(digest) != new(algorithm).digest_size:
        raise _wrong("Upload-Checksum", f"The digest is no {algorithm} as Base64")
    return Checksum(algorithm, digest)


def carries_bytes(request: Request[Any, Any, Any]) -> bool:
    return (header(request.scope, b"content-type") or "").partition(";")[0].strip().lower() == BYTES


def _wrong(name: str, detail: str) -> Problem:
    return invalid([{"header": name, "detail": detail}])
