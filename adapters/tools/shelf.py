"""Where workers of files take them from and put them: the store, a folder for work, and the memory of what was made.

    <scratch>/<process>/<attempt>/given, made  while a task runs
    <scratch>/sources/<sha256>                 what is worked on, for all tasks that need it

A file is kept in this order: written and verified here, its row touched, named in the store, and only then told of."""

import asyncio
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4
from weakref import WeakValueDictionary

import msgspec

from adapters.tools.sandbox import plain
from domain.file import File, Files

SOURCE_S = 3_600.0  # for which a source stays that nobody asks for
LOCK, NEW = "lock", ".new"
Remembered = Callable[[str, str], Awaitable[Mapping[str, Any] | None]]


@dataclass(frozen=True, slots=True)
class Bench:
    """A place to work at: nothing is written to `given`, and what is made lies in `made`."""

    given: Path
    made: Path


class Gone(Exception):
    """The store has no such file: no other try will find it."""


class Shelf:
    """`touch` tells that files are about to get their names, `remembered` the result of an operation on a source."""

    def __init__(
        self, files: Files, touch: Callable[[Sequence[File]], Awaitable[None]], remembered: Remembered, scratch: Path
    ) -> None:
        self._files, self._touch, self._remembered = files, touch, remembered
        self._scratch = scratch
        self._fetching: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._placing = asyncio.Lock()
        self._own: Path | None = None
        self._lock: int | None = None

    @asynccontextmanager
    async def bench(self, task: UUID) -> AsyncIterator[Bench]:
        """A folder of its own for an attempt of a task: a lost one may still be clearing away its own."""
        async with self._placing:
            here = (await asyncio.to_thread(self._place)) / f"{task}-{uuid4()}"
        bench = Bench(here / "given", here / "made")
        for folder in (bench.given, bench.made):
            await asyncio.to_thread(folder.mkdir, parents=True)
        try:
            yield bench
        finally:
            await asyncio.to_thread(shutil.rmtree, here, ignore_errors=True)

    @asynccontextmanager
    async def source(self, file: File, lasts: bool = True) -> AsyncIterator[Callable[[], int]]:
        """Opens the file to be read, as often as it is called; one that `lasts` stays near for others. Raises
        Gone and Full."""
        opened: list[int] = []
        whole = await self._sourced(file, lasts)

        def again() -> int:
            opened.append(os.open(f"/proc/self/fd/{whole}", os.O_RDONLY | os.O_CLOEXEC))
            return opened[-1]

        try:
            yield again
        finally:
            for descriptor in (whole, *opened):
                os.close(descriptor)

    async def keep(self, *paths: Path) -> list[File]:
        """Name what was made by its content. Raises Broken where it is no file of its own: whoever made it may have
        been taken over by what he worked on."""
        files = await asyncio.to_thread(lambda: [_summed(path) for path in paths])
        await self._touch(files)
        await self._files.put([(str(path), file) for path, file in zip(paths, files, strict=True)])
        return files

    async def fetch(self, file: File, path: Path) -> None:
        """Put the file at the path, where nothing is. Raises Gone and Full."""
        try:
            await self._files.fetch(file.sha256, str(path))
        except FileNotFoundError as error:
            if await self._files.size(file.sha256) is None:
                raise Gone(f"The file {file.sha256} is not in the store any more.") from error
            raise  # it is there, and something of ours is not

    async def made(self, source: str, operation: str) -> Mapping[str, Any] | None:
        """The result of the same operation on the same bytes, if all of its files are still there; they stay."""
        found = await self._remembered(source, operation)
        if found is None:
            return None
        files = msgspec.convert(found["files"], tuple[File, ...])
        await self._touch(files)
        for file in files:
            if await self._files.size(file.sha256) != file.size_bytes:
                return None
        return found

    async def _sourced(self, file: File, lasts: bool) -> int:
        """Its descriptor; fetched, where it is not there yet, by one task for all that ask."""
        if not lasts:
            return await self._fetched(file, lasts)
        lock = self._fetching.setdefault(file.sha256, asyncio.Lock())
        async with lock:
            return await self._fetched(file, lasts)

    async def _fetched(self, file: File, lasts: bool) -> int:
        folder = self._scratch / "sources"
        path, used = folder / file.sha256, folder / f"{file.sha256}.used"
        if lasts:
            with suppress(FileNotFoundError):
                whole = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                used.touch()
                return whole
        await asyncio.to_thread(self._forget_sources)
        beside = folder / f"{file.sha256}.{uuid4()}"
        try:
            await self.fetch(file, beside)
            if lasts:
                used.touch()
                beside.replace(path)
            return os.open(path if lasts else beside, os.O_RDONLY | os.O_CLOEXEC)
        finally:
            beside.unlink(missing_ok=True)

    def _forget_sources(self) -> None:
        """Those that nobody asked for in a while; who has one open goes on reading it."""
        folder = self._scratch / "sources"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in folder.iterdir():
            used = folder / f"{path.name[:64]}.used"
            with suppress(FileNotFoundError):
                told = (used if used.exists() else path).stat()
                if time.time() > max(told.st_mtime, told.st_ctime) + SOURCE_S:  # a link has the times of its file
                    path.unlink()

    def _place(self) -> Path:
        """This process's own folder; what processes that are gone have left is removed."""
        if self._own is None:
            self._scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
            _clear(self._scratch)
            own = self._scratch / str(uuid4())
            (new := own.with_suffix(NEW)).mkdir()
            self._lock = os.open(new / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            self._own = new.rename(own)  # only now others may look whether it is locked
        return self._own


def _clear(scratch: Path) -> None:
    """Others may be doing the same: a folder, or its lock, can be gone at any moment."""
    for folder in scratch.iterdir():
        if folder.suffix != NEW:
            with suppress(FileNotFoundError, NotADirectoryError), _held(folder / LOCK) as free:
                if free:
                    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Whether nobody else holds this lock."""
    lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(lock)


def _summed(path: Path) -> File:
    with plain(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return File(sha256=digest, size_bytes=os.fstat(file.fileno()).st_size)
