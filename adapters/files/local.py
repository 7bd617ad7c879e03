"""Files in a folder that all processes share.

files/ab/ab12…       what is whole, by its SHA-256: another name of the same bytes, so that nothing is copied
uploads/<id>         what is on its way; left there by a crash, it is swept like any upload"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from errno import EMLINK, EPERM, EXDEV
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from domain.file import NO_ROOM, File, Full

PIECE = 1024 * 1024  # bytes that are written or read at once
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """`domain.file.Files` in the same folder."""

    folder: Path

    async def size(self, sha256: str) -> int | None:
        try:
            return (await asyncio.to_thread(named_in(self.folder, sha256).stat)).st_size
        except FileNotFoundError:
            return None

    async def read(self, sha256: str, begin: int, end: int) -> AsyncIterator[bytes]:
        with await asyncio.to_thread(named_in(self.folder, sha256).open, "rb") as file:
            while begin < end and (piece := await asyncio.to_thread(_at, file.fileno(), begin, end)):
                yield piece
                begin += len(piece)

    async def remove(self, sha256: str) -> None:
        await asyncio.to_thread(named_in(self.folder, sha256).unlink, missing_ok=True)

    async def put(self, made: Sequence[tuple[str, File]]) -> None:
        await done(lambda: self._named((Path(path), file) for path, file in made))

    async def add(self, contents: Sequence[tuple[File, bytes]]) -> None:
        await done(lambda: self._add(contents))

    async def fetch(self, sha256: str, path: str) -> None:
        await done(lambda: self._fetch(named_in(self.folder, sha256), Path(path)))

    def _named(self, made: Iterable[tuple[Path, File]]) -> None:
        """What one sync of the journal makes durable, the next ones find done: so all of it first, then all names."""
        named = [(path, named_in(self.folder, file.sha256)) for path, file in made]
        for path, _ in named:
            with path.open("rb") as whole:
                os.fsync(whole.fileno())
        for path, name in named:
            fold(name.parent)
            with suppress(FileExistsError):
                if not _linked(path, name):
                    self._copied(path, name)
        for folder in {name.parent for _, name in named}:
            sync(folder)

    def _copied(self, path: Path, name: Path) -> None:
        with self._beside() as beside:
            shutil.copyfile(path, beside)
            with beside.open("rb") as whole:
                os.fsync(whole.fileno())
            beside.replace(name)

    def _add(self, contents: Sequence[tuple[File, bytes]]) -> None:
        with ExitStack() as written:
            made = []
            for file, content in contents:
                beside = written.enter_context(self._beside())
                beside.write_bytes(content)
                made.append((beside, file))
            self._named(made)

    @contextmanager
    def _beside(self) -> Iterator[Path]:
        """A path for something on its way, where nothing is left at the end."""
        path = self.folder / "uploads" / str(uuid4())
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _fetch(self, named: Path, path: Path) -> None:
        if not _linked(named, path):
            shutil.copyfile(named, path)


def named_in(folder: Path, sha256: str) -> Path:
    return folder / "files" / sha256[:2] / sha256


def _at(descriptor: int, begin: int, end: int) -> bytes:
    return os.pread(descriptor, min(PIECE, end - begin), begin)


def fold(folder: Path) -> None:
    if not folder.exists():
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


def _linked(path: Path, other: Path) -> bool:
    """A second name of the same bytes, where both lie on one disk. Raises FileExistsError."""
    try:
        other.hardlink_to(path)
    except OSError as error:
        if error.errno not in (EXDEV, EPERM, EMLINK):
            raise
        return False
    return True


def sync(folder: Path) -> None:
    """Make the names in it durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def done(work: Callable[[], T]) -> T:
    """In a thread. Raises Full where there is no room."""
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise Full from error
        raise
