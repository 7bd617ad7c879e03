"""Files in a folder that all processes share.

    files/ab/ab12…       what is whole, by its SHA-256: another name of the same bytes, so that nothing is copied
    uploads/<id>         what is on its way; left there by a crash, it is swept like any upload

What one sync of the journal makes durable, the next ones find done: so of many files all bytes come first, then all
names, then the folders."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from errno import EMLINK, EPERM, EXDEV
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from domain.file import NO_ROOM, Away, File, Full

PIECE = 1024 * 1024  # bytes that are written or read at once
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """`domain.file.Files` in a folder that `made` has made."""

    folder: Path

    async def size(self, sha256: str) -> int | None:
        try:
            return (await in_thread(named_in(self.folder, sha256).stat)).st_size
        except FileNotFoundError:
            return None

    async def read(self, sha256: str, begin: int, end: int) -> AsyncIterator[bytes]:
        with await in_thread(lambda: named_in(self.folder, sha256).open("rb")) as file:
            while begin < end and (piece := await in_thread(partial(_at, file.fileno(), begin, end))):
                yield piece
                begin += len(piece)

    async def remove(self, sha256: str) -> None:
        await in_thread(lambda: self._remove(named_in(self.folder, sha256)))

    async def put(self, made: Sequence[tuple[str, File]]) -> None:
        await in_thread(lambda: self._put([(Path(path), file) for path, file in made]))

    async def add(self, contents: Sequence[tuple[File, bytes]]) -> None:
        await in_thread(lambda: self._add(contents))

    async def fetch(self, sha256: str, path: str) -> None:
        await in_thread(lambda: self._fetch(named_in(self.folder, sha256), Path(path)))

    def _put(self, made: Sequence[tuple[Path, File]]) -> None:
        for path, _ in made:
            with path.open("rb") as whole:
                os.fsync(whole.fileno())
        for path, file in made:
            give_name(self.folder, path, file)
        for folder in {named_in(self.folder, file.sha256).parent for _, file in made}:
            sync(folder)

    def _add(self, contents: Sequence[tuple[File, bytes]]) -> None:
        with ExitStack() as written:
            made = [(written.enter_context(_beside(self.folder)), file) for file, _ in contents]
            for (path, _), (_, content) in zip(made, contents, strict=True):
                path.write_bytes(content)
            self._put(made)

    def _remove(self, named: Path) -> None:
        with suppress(FileNotFoundError):
            named.unlink()
            sync(named.parent)  # its row goes next: nobody would know of it, if it came back

    def _fetch(self, named: Path, path: Path) -> None:
        if not _linked(named, path):
            shutil.copyfile(named, path)


def named_in(folder: Path, sha256: str) -> Path:
    return folder / "files" / sha256[:2] / sha256


def _at(descriptor: int, begin: int, end: int) -> bytes:
    return os.pread(descriptor, min(PIECE, end - begin), begin)


def made(folder: Path) -> Path:
    """The folder, with all that lies in it, durably: who finds a folder there need not ask whether it stays."""
    names = [folder / "uploads", folder / "files", *(folder / "files" / f"{number:02x}" for number in range(256))]
    if not all(one.is_dir() for one in names):
        for one in names:
            one.mkdir(parents=True, exist_ok=True)
        for one in (folder / "files", folder, folder.parent):
            sync(one)
    return folder


def give_name(folder: Path, path: Path, file: File) -> None:
    """Give what lies at the path, and is synced, its name; the folder of names is not synced. On another disk, or one
    that knows no second names, it is copied."""
    named = named_in(folder, file.sha256)
    with suppress(FileExistsError):
        if not _linked(path, named):
            with _beside(folder) as beside:
                shutil.copyfile(path, beside)
                with beside.open("rb") as whole:
                    os.fsync(whole.fileno())
                beside.replace(named)


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """An empty file of ours alone for something on its way, where nothing is left at the end."""
    path = folder / "uploads" / str(uuid4())
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


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


async def in_thread(work: Callable[[], T]) -> T:
    """What it gives. Raises Full where there is no room, Away where the disk itself fails."""
    try:
        return await asyncio.to_thread(work)
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError as error:
        if error.errno in NO_ROOM:
            raise Full from error
        raise Away(f"The store of files does not answer: {error.strerror}.") from error
