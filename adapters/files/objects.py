"""A store of objects that speaks S3, which all processes share.

    uploads/<id>/begun         there as long as the upload is
    uploads/<id>/00000000…     the pieces that have arrived, by the offset of each (16 hexadecimal digits)
    files/ab/ab12…             what is whole, by its SHA-256

A piece is put only where there is none with its offset, so of two writers one is told that he is wrong: no lock is
needed. An object is there whole or not at all; so a piece that is cut is shorter, and never torn."""

import hashlib
from asyncio import Lock, TaskGroup, to_thread
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from domain.file import NO_ROOM, Away, Checksum, File, Full, Mismatch, NoUpload, Part, TooMuch, WrongOffset

PIECE = 8 * 1024 * 1024  # bytes of one object, and of what is held in memory for one write
MOST_CHECKED = 2 * PIECE  # bytes of one write with a checksum: they are held until they are verified
CHUNK = 1024 * 1024  # bytes that are read at once
AT_ONCE = 8  # objects that are put at once
BEGUN = "begun"
MOST_SUMS = 1_000  # running sums that one process remembers


@dataclass(frozen=True, slots=True)
class _Piece:
    offset: int
    size_bytes: int
    at: datetime


@dataclass(slots=True)
class ObjectUploads:
    """`domain.file.Uploads` as objects."""

    store: S3Store
    _sums: "OrderedDict[UUID, tuple[int, hashlib._Hash]]" = field(default_factory=OrderedDict)
    _keeping: dict[UUID, Lock] = field(default_factory=dict)

    async def begin(self, id: UUID) -> None:
        with asked():
            await obstore.put_async(self.store, _of(id, BEGUN), b"")

    async def arrived(self, id: UUID) -> Part | None:
        found = await self._listed(id)
        return _part(found) if BEGUN in found else None

    async def write(self, id: UUID, offset: int, chunks: AsyncIterator[bytes], checksum: Checksum | None) -> int:
        part = await self.arrived(id)
        if part is None:
            raise NoUpload
        if part.size_bytes != offset:
            raise WrongOffset(part.size_bytes)
        gathered, at = bytearray(), offset
        try:
            async for chunk in chunks:
                gathered += chunk
                if checksum is None and len(gathered) >= PIECE:
                    piece, gathered = bytes(gathered), bytearray()
                    at = await self._put(id, at, piece)
                elif len(gathered) > MOST_CHECKED:
                    raise TooMuch(MOST_CHECKED)
        except BaseException:  # the caller went away, or we are to stop: what came is kept, or dropped as a whole
            if checksum is None and gathered:
                with suppress(WrongOffset, Away):
                    await self._put(id, at, bytes(gathered))
            raise
        if checksum is not None and hashlib.new(checksum.algorithm, gathered).digest() != checksum.digest:
            raise Mismatch
        return await self._put(id, at, bytes(gathered)) if gathered else at

    async def sum(self, id: UUID, size_bytes: int) -> File:
        found = await self._listed(id)
        if BEGUN not in found:
            raise NoUpload
        if (arrived := _part(found).size_bytes) != size_bytes:
            raise WrongOffset(arrived)
        summed, running = self._sums.pop(id, (0, hashlib.sha256()))
        if summed != size_bytes:
            running = hashlib.sha256()
            async for chunk in self._content(id, found):
                await to_thread(running.update, chunk)
        self._sums[id] = size_bytes, running  # it may be asked for again
        return File(sha256=running.hexdigest(), size_bytes=size_bytes)

    async def keep(self, id: UUID, file: File) -> None:
        async with self._keeping.setdefault(id, Lock()):  # who asks again while it takes its time waits for it
            found = await self._listed(id)
            if BEGUN not in found:
                raise NoUpload
            with asked():
                if await _size(self.store, file.sha256) == file.size_bytes:
                    return
                try:
                    async with obstore.open_writer_async(self.store, _named(file.sha256), buffer_size=PIECE) as writer:
                        async for chunk in self._content(id, found):
                            await writer.write(chunk)
                except OSError as error:  # the writer speaks as a file does
                    raise Away(f"The store of files does not answer: {error}") from error

    async def drop(self, id: UUID) -> None:
        self._sums.pop(id, None)
        self._keeping.pop(id, None)
        found = await self._listed(id)
        with asked(), suppress(FileNotFoundError):
            await obstore.delete_async(self.store, [_of(id, name) for name in sorted(found, reverse=True)])

    async def lying(self) -> AsyncIterator[tuple[UUID, Part]]:
        listed = [meta async for meta in self._metas("uploads/")]
        listed.sort(key=lambda meta: str(meta["path"]))
        for name, metas in groupby(listed, key=lambda meta: str(meta["path"]).split("/")[1]):
            with suppress(ValueError):
                id = UUID(name)
                yield id, _part(_by_name(metas))

    async def _put(self, id: UUID, offset: int, piece: bytes) -> int:
        with asked():
            try:
                await obstore.put_async(self.store, _of(id, f"{offset:016x}"), piece, mode="create")
            except AlreadyExistsError:
                part = await self.arrived(id)
                raise WrongOffset(part.size_bytes if part else 0) from None
        summed, running = self._sums.pop(id, (0, hashlib.sha256()))
        if summed == offset:
            await to_thread(running.update, piece)
            self._sums[id] = offset + len(piece), running
            if len(self._sums) > MOST_SUMS:
                self._sums.popitem(last=False)
        return offset + len(piece)

    async def _listed(self, id: UUID) -> dict[str, _Piece]:
        return _by_name([meta async for meta in self._metas(_of(id, ""))])

    async def _metas(self, prefix: str) -> AsyncIterator[Any]:
        with asked():
            async for batch in obstore.list(self.store, prefix):
                for meta in batch:
                    yield meta

    async def _content(self, id: UUID, found: dict[str, _Piece]) -> AsyncIterator[bytes]:
        for piece in _pieces(found):
            with asked():
                got = await obstore.get_async(self.store, _of(id, f"{piece.offset:016x}"))
                async for chunk in got.stream(CHUNK):
                    yield bytes(chunk)


@dataclass(frozen=True, slots=True)
class ObjectFiles:
    """`domain.file.Files` as objects."""

    store: S3Store

    async def size(self, sha256: str) -> int | None:
        with asked():
            return await _size(self.store, sha256)

    async def read(self, sha256: str, begin: int, end: int) -> AsyncIterator[bytes]:
        if begin >= end:
            return
        with asked():
            got = await obstore.get_async(self.store, _named(sha256), options={"range": (begin, end)})
            async for chunk in got.stream(CHUNK):
                yield bytes(chunk)

    async def remove(self, sha256: str) -> None:
        with asked(), suppress(FileNotFoundError):
            await obstore.delete_async(self.store, _named(sha256))

    async def put(self, made: Sequence[tuple[str, File]]) -> None:
        await self._all([(file, Path(path)) for path, file in made])

    async def add(self, contents: Sequence[tuple[File, bytes]]) -> None:
        await self._all(contents)

    async def _all(self, each: Sequence[tuple[File, Path | bytes]]) -> None:
        """Some of them at once. Raises Away."""
        left = iter(each)

        async def some() -> None:
            for file, content in left:
                with asked():
                    await obstore.put_async(self.store, _named(file.sha256), content)

        try:
            async with TaskGroup() as group:
                for _ in range(min(AT_ONCE, len(each))):
                    group.create_task(some())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors.exceptions[0].__cause__

    async def fetch(self, sha256: str, path: str) -> None:
        with asked():
            got = await obstore.get_async(self.store, _named(sha256))
            try:
                with await to_thread(Path(path).open, "xb") as file:
                    async for chunk in got.stream(CHUNK):
                        await to_thread(file.write, bytes(chunk))
            except OSError as error:
                if error.errno in NO_ROOM:
                    raise Full from error
                raise


async def _size(store: S3Store, sha256: str) -> int | None:
    try:
        return int((await obstore.head_async(store, _named(sha256)))["size"])
    except FileNotFoundError:
        return None


def _by_name(metas: Any) -> dict[str, _Piece]:
    """What there is of one upload: its marker and its pieces."""
    found = {}
    for meta in metas:
        name = str(meta["path"]).rpartition("/")[2]
        offset = int(name, 16) if name != BEGUN else 0
        found[name] = _Piece(offset, int(meta["size"]), meta["last_modified"])
    return found


def _pieces(found: dict[str, _Piece]) -> Iterator[_Piece]:
    """Those that follow one another from the beginning on."""
    at = 0
    while (piece := found.get(f"{at:016x}")) is not None and piece.size_bytes:
        yield piece
        at += piece.size_bytes


def _part(found: dict[str, _Piece]) -> Part:
    return Part(sum(piece.size_bytes for piece in _pieces(found)), max(piece.at for piece in found.values()))


def _of(id: UUID, name: str) -> str:
    return f"uploads/{id}/{name}"


def _named(sha256: str) -> str:
    return f"files/{sha256[:2]}/{sha256}"


@contextmanager
def asked() -> Iterator[None]:
    """Raises Away where the store does not answer, or refuses."""
    try:
        yield
    except (AlreadyExistsError, FileNotFoundError):
        raise
    except BaseError as error:
        raise Away(f"The store of files does not answer: {str(error).partition(chr(10))[0][:300]}") from error
