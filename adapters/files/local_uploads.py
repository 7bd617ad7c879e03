"""Uploads on their way into a folder that all processes share.

    uploads/<id>         what has arrived; its length is the offset
    uploads/<id>.held    there while a write with a checksum is under way: who writes, and from which offset

Nobody holds a lock while he waits for bytes: each piece is written under the upload's lock, and only where the last one
ended. So a writer whose connection hangs is in nobody's way, and finds afterwards that others went on."""

import asyncio
import fcntl
import hashlib
import os
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from adapters.files.local import PIECE, give_name, in_thread, made, named_in, sync
from domain.file import Away, Checksum, File, Full, Mismatch, NoUpload, Part, WrongOffset

MOST_SUMS = 1_000  # running sums that one process remembers
HELD = ".held"


@dataclass(slots=True)
class LocalUploads:
    """`domain.file.Uploads` in a folder. After a power cut no byte is missing that `write` answered for."""

    folder: Path
    _sums: "OrderedDict[UUID, tuple[int, hashlib._Hash]]" = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        made(self.folder)

    async def begin(self, id: UUID) -> None:
        await in_thread(lambda: self._begin(id))

    async def arrived(self, id: UUID) -> Part | None:
        return await in_thread(lambda: self._arrived(id))

    async def write(self, id: UUID, offset: int, chunks: AsyncIterator[bytes], checksum: Checksum | None) -> int:
        writer = await in_thread(lambda: _Writer.begin(self, id, offset, checksum))
        gathered = bytearray()
        try:
            async for chunk in chunks:
                gathered += chunk
                if len(gathered) >= PIECE:
                    piece, gathered = bytes(gathered), bytearray()
                    await in_thread(lambda piece=piece: writer.add(piece))  # type: ignore[misc]
        except BaseException:  # the caller went away, or we are to stop: what came is kept, or dropped as a whole
            with suppress(WrongOffset, NoUpload, Full, Away):
                await asyncio.shield(in_thread(lambda: writer.leave(bytes(gathered))))
            raise
        return await in_thread(lambda: writer.end(bytes(gathered)))

    async def sum(self, id: UUID, size_bytes: int) -> File:
        return await in_thread(lambda: self._sum(id, size_bytes))

    async def keep(self, id: UUID, file: File) -> None:
        await in_thread(lambda: self._keep(id, file))

    async def drop(self, id: UUID) -> None:
        await in_thread(lambda: self._drop(id))

    async def lying(self) -> AsyncIterator[tuple[UUID, Part]]:
        for name in await in_thread(lambda: [path.name for path in (self.folder / "uploads").iterdir()]):
            with suppress(ValueError):  # what is held belongs to an upload that is told of
                id = UUID(name)
                if (part := await self.arrived(id)) is not None:
                    yield id, part

    def path(self, id: UUID) -> Path:
        return self.folder / "uploads" / str(id)

    @contextmanager
    def locked(self, id: UUID) -> Iterator[int]:
        """Its descriptor, while nobody else writes. Raises NoUpload."""
        try:
            descriptor = os.open(self.path(id), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NoUpload from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not self.path(id).exists():  # it was dropped while we waited
                raise NoUpload
            yield descriptor
        finally:
            os.close(descriptor)

    def held(self, id: UUID) -> tuple[str, int] | None:
        """Who writes with a checksum, and from where."""
        try:
            writer, _, offset = self.path(id).with_suffix(HELD).read_text().partition(" ")
        except FileNotFoundError:
            return None
        return writer, int(offset)

    def hold(self, id: UUID, writer: str, offset: int) -> None:
        held = self.path(id).with_suffix(HELD)
        new = held.with_suffix(f"{HELD}.new")
        with new.open("w") as file:
            file.write(f"{writer} {offset}")
            file.flush()
            os.fsync(file.fileno())
        new.replace(held)
        sync(held.parent)

    def release(self, id: UUID, descriptor: int, offset: int | None) -> None:
        """What was held counts from now on, or is dropped from `offset` on."""
        if offset is not None:
            os.ftruncate(descriptor, offset)
            self._sums.pop(id, None)
        held = self.path(id).with_suffix(HELD)
        if held.exists():
            held.unlink()
            sync(held.parent)  # it would drop what is answered for, if it came back

    def extend(self, id: UUID, descriptor: int, offset: int, piece: bytes, verified: bool) -> int:
        """Write it, and keep the running sum where it counts at once: what is dropped may be sent to another process
        then, and this one's sum would be of other bytes."""
        summed, running = self._sums.pop(id, (0, hashlib.sha256()))
        view, at = memoryview(piece), offset
        while view:
            written = os.pwrite(descriptor, view, at)
            view, at = view[written:], at + written
        if verified and summed == offset:
            running.update(piece)
            self._sums[id] = at, running
            if len(self._sums) > MOST_SUMS:
                self._sums.popitem(last=False)
        return at

    def _begin(self, id: UUID) -> None:
        os.close(os.open(self.path(id), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        sync(self.path(id).parent)

    def _arrived(self, id: UUID) -> Part | None:
        while True:
            try:
                held = self.held(id)
                found = self.path(id).stat()
            except FileNotFoundError:
                return None
            if self.held(id) == held:  # else what was seen may just have been dropped
                break
        size_bytes = found.st_size if held is None else min(held[1], found.st_size)
        return Part(size_bytes, datetime.fromtimestamp(found.st_mtime, UTC))

    def _sum(self, id: UUID, size_bytes: int) -> File:
        with self.locked(id) as descriptor:
            if (held := self.held(id)) is not None:
                self.release(id, descriptor, held[1])
            if (arrived := os.fstat(descriptor).st_size) != size_bytes:
                raise WrongOffset(arrived)
            summed, running = self._sums.pop(id, (0, hashlib.sha256()))
            if summed != size_bytes:
                with open(descriptor, "rb", closefd=False) as file:
                    running = hashlib.file_digest(file, "sha256")
            self._sums[id] = size_bytes, running  # it may be asked for again
            os.fsync(descriptor)
            return File(sha256=running.hexdigest(), size_bytes=size_bytes)

    def _keep(self, id: UUID, file: File) -> None:
        with self.locked(id):
            give_name(self.folder, self.path(id), file)
            sync(named_in(self.folder, file.sha256).parent)

    def _drop(self, id: UUID) -> None:
        with suppress(NoUpload), self.locked(id) as descriptor:
            self.path(id).unlink()
            self.release(id, descriptor, None)
            self._sums.pop(id, None)


@dataclass(slots=True)
class _Writer:
    """One write: it goes on only where its own last piece ended."""

    uploads: LocalUploads
    id: UUID
    first: int
    at: int
    name: str | None  # in `held`, where there is a checksum
    checksum: Checksum | None
    summed: "hashlib._Hash | None"

    @classmethod
    def begin(cls, uploads: LocalUploads, id: UUID, offset: int, checksum: Checksum | None) -> "_Writer":
        with uploads.locked(id) as descriptor:
            if (held := uploads.held(id)) is not None:  # its writer died, or is overtaken now
                uploads.release(id, descriptor, held[1])
            if (arrived := os.fstat(descriptor).st_size) != offset:
                raise WrongOffset(arrived)
            name = str(uuid4()) if checksum else None
            if name is not None:
                uploads.hold(id, name, offset)
        summed = hashlib.new(checksum.algorithm) if checksum else None
        return cls(uploads, id, offset, offset, name, checksum, summed)

    def add(self, piece: bytes) -> None:
        with self._mine() as descriptor:
            self._add(descriptor, piece)

    def end(self, piece: bytes) -> int:
        with self._mine() as descriptor:
            self._add(descriptor, piece)
            if self.checksum is not None and self.summed is not None:
                wrong = self.summed.digest() != self.checksum.digest
                if not wrong:
                    os.fdatasync(descriptor)
                self.uploads.release(self.id, descriptor, self.first if wrong else None)
                if wrong:
                    raise Mismatch
            os.fdatasync(descriptor)
        return self.at

    def leave(self, piece: bytes) -> None:
        """The rest will not come."""
        with self._mine() as descriptor:
            if self.checksum is not None:
                self.uploads.release(self.id, descriptor, self.first)
            else:
                self._add(descriptor, piece)
                os.fdatasync(descriptor)

    @contextmanager
    def _mine(self) -> Iterator[int]:
        with self.uploads.locked(self.id) as descriptor:
            held, arrived = self.uploads.held(self.id), os.fstat(descriptor).st_size
            if (held[0] if held else None) != self.name or arrived != self.at:
                raise WrongOffset(arrived if held is None else held[1])
            yield descriptor

    def _add(self, descriptor: int, piece: bytes) -> None:
        if self.summed is not None:
            self.summed.update(piece)
        if piece:
            self.at = self.uploads.extend(self.id, descriptor, self.at, piece, self.checksum is None)
