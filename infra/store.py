"""The store of files, as the settings name it: a folder, or a bucket of a service that speaks S3."""

import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from obstore.exceptions import BaseError
from obstore.store import S3Store

from adapters.files.local import LocalFiles
from adapters.files.local_uploads import LocalUploads
from adapters.files.objects import ObjectFiles, ObjectUploads
from domain.file import Away, File, Files, Uploads
from infra.exits import Refused
from infra.settings import Settings

S3 = "s3://"
ABSENT = "The setting files is empty: this worker has no store of files."
CONNECT, READ, RETRY = timedelta(seconds=5), timedelta(seconds=30), timedelta(seconds=20)
WHOLE = timedelta(hours=24)  # of one answer, from its first byte to its last; `READ` ends one that stands still


@dataclass(frozen=True, slots=True)
class Store:
    uploads: Uploads
    files: Files
    patience: timedelta  # an upload expires when no byte came for so long
    grace: timedelta  # a file that nothing holds any more is kept for so long


class Absent:
    """`domain.file.Files` where the settings name no store."""

    async def size(self, sha256: str) -> int | None:
        return None

    async def read(self, sha256: str, begin: int, end: int) -> AsyncIterator[bytes]:
        raise Away(ABSENT)
        yield b""

    async def remove(self, sha256: str) -> None:
        return None

    async def put(self, made: Sequence[tuple[str, File]]) -> None:
        raise Away(ABSENT)

    async def add(self, contents: Sequence[tuple[File, bytes]]) -> None:
        raise Away(ABSENT)

    async def fetch(self, sha256: str, path: str) -> None:
        raise Away(ABSENT)


def store_of(settings: Settings) -> Store | None:
    """None where the settings name none. Raises Refused where it cannot be used."""
    if not settings.files:
        return None
    patience, grace = timedelta(seconds=settings.upload_patience_s), timedelta(seconds=settings.files_grace_s)
    if settings.files.startswith(S3):
        bucket = _bucket(settings.files)
        return Store(ObjectUploads(bucket), ObjectFiles(bucket), patience, grace)
    folder = Path(settings.files)
    try:
        return Store(LocalUploads(folder), LocalFiles(folder), patience, grace)
    except OSError as error:
        raise Refused(
            f"The setting files should be a folder that can be written to, and it is {settings.files!r}: {error}."
        ) from error


def files_at(address: str) -> Files:
    """Only what has its name. Raises Refused."""
    return ObjectFiles(_bucket(address)) if address.startswith(S3) else LocalFiles(Path(address))


def _bucket(address: str) -> S3Store:
    """Its keys, its region and its endpoint stand in the environment, as for every client of S3: AWS_ACCESS_KEY_ID, ….

    Raises Refused."""
    parts, plain = urlsplit(address), os.environ.get("AWS_ALLOW_HTTP", "").lower() == "true"
    try:
        return S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            client_options={"connect_timeout": CONNECT, "read_timeout": READ, "timeout": WHOLE, "allow_http": plain},
            retry_config={"max_retries": 3, "retry_timeout": RETRY},
        )
    except BaseError as error:
        words = str(error).partition("\n")[0]
        raise Refused(f"The setting files is {address!r}, which cannot be used: {words}.") from error
