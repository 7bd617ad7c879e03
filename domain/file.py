"""Files: named by what is in them. What has a name is whole, and never changes."""

import re
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from errno import EDQUOT, EFBIG, ENOSPC
from typing import Annotated, Protocol
from uuid import UUID

import msgspec

from domain.record import Record, Value

Sha256 = Annotated[
    str,
    msgspec.Meta(pattern=r"^[0-9a-f]{64}(?!\n)$", description="a SHA-256 as 64 hexadecimal digits in small letters"),
]


SHA256 = re.compile(r"[0-9a-f]{64}")


def is_sha256(value: object) -> bool:
    return isinstance(value, str) and SHA256.fullmatch(value) is not None


class File(Record, frozen=True):
    """Whoever has this can verify the file."""

    sha256: Sha256
    size_bytes: int


class Part(Value, frozen=True):
    """An upload that is on its way: what has arrived, and when the last of it did."""

    size_bytes: int
    touched_at: datetime  # UTC


class Checksum(Value, frozen=True):
    """What the bytes of one write must sum up to."""

    algorithm: str  # one of ALGORITHMS
    digest: bytes


NO_ROOM = (ENOSPC, EDQUOT, EFBIG)  # what a system says where it is Full
ALGORITHMS = ("sha256", "sha1", "md5")  # tus 1.0 demands SHA-1


class WrongOffset(Exception):
    """The bytes do not begin where the last ones ended: somebody else wrote, or the writer forgot how far he was."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"{size_bytes} bytes have arrived.")
        self.size_bytes = size_bytes


class Mismatch(Exception):
    """The bytes do not sum up to what was said of them; they were dropped."""


class Full(Exception):
    """There is no room left. What has arrived stays."""


class TooMuch(Exception):
    """A write with a checksum has more bytes than this store can verify at once."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__(f"With a checksum one write has at most {most_bytes} bytes here.")
        self.most_bytes = most_bytes


class Away(Exception):
    """The store does not answer, or refuses; the message says what it said."""


class NoUpload(Exception):
    """Nothing is kept under this id: it never was, or it has become a file, or was dropped."""


class Uploads(Protocol):
    """The port to bytes that are on their way in. Several processes may write to the same store.

    Whatever is asked of it or of Files raises Away where the store does not answer."""

    async def begin(self, id: UUID) -> None:
        """Make room for an upload; one that is there stays as it is. Raises Full."""

    async def arrived(self, id: UUID) -> Part | None:
        """What has arrived, without what a write has not yet verified; None where nothing is kept under this id."""

    async def write(self, id: UUID, offset: int, chunks: AsyncIterator[bytes], checksum: Checksum | None) -> int:
        """Add the bytes behind `offset`, and answer how many there are then, durably.

        What came before `chunks` raised stays, where there is no checksum. Raises NoUpload, WrongOffset, Mismatch,
        TooMuch and Full."""

    async def sum(self, id: UUID, size_bytes: int) -> File:
        """The file that an upload has become which is complete at this size. Raises NoUpload and WrongOffset."""

    async def keep(self, id: UUID, file: File) -> None:
        """Give the bytes their name, durably, beside the upload. To repeat it changes nothing. Raises NoUpload."""

    async def drop(self, id: UUID) -> None:
        """Forget the upload; a file that was made of it stays."""

    def lying(self) -> AsyncIterator[tuple[UUID, Part]]:
        """Every upload that is on its way."""


class Files(Protocol):
    """The port to files that have their names."""

    async def size(self, sha256: str) -> int | None:
        """None where there is no such file."""

    def read(self, sha256: str, begin: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `begin` until before `end`. Raises FileNotFoundError at the first of them."""

    async def remove(self, sha256: str) -> None:
        """It need not be there."""

    async def put(self, made: Sequence[tuple[str, File]]) -> None:
        """Give what lies at these paths their names, durably; nobody writes to it any more. To repeat it changes
        nothing. Raises Full."""

    async def add(self, contents: Sequence[tuple[File, bytes]]) -> None:
        """The same for bytes that are held in memory: small files, as many as come together. Raises Full."""

    async def fetch(self, sha256: str, path: str) -> None:
        """Put the file at the path, where nothing is. It may be the kept one under a second name: nobody writes to it.
        Raises FileNotFoundError and Full."""
