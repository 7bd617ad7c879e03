"""Do all stores of files agree? Written, cut, resumed, summed up, named, read, removed: the same for each of them."""

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from obstore.store import S3Store

from adapters.files import local, objects
from adapters.files.local import LocalFiles
from adapters.files.local_uploads import LocalUploads
from adapters.files.objects import ObjectFiles, ObjectUploads
from domain.file import Away, Checksum, File, Files, Full, Mismatch, NoUpload, TooMuch, Uploads, WrongOffset
from infra.clock import new_id
from tests.objects import bucket

MIB = 1024 * 1024
DATA = bytes(range(256)) * 16_384  # 4 MiB


@dataclass
class Stores:
    uploads: Uploads
    again: Uploads  # the same store, seen by another process
    files: Files
    piece: int  # bytes that it gathers before it writes

    async def begun(self, *chunks: bytes) -> UUID:
        id = new_id()
        await self.uploads.begin(id)
        await self.uploads.write(id, 0, sent(chunks), None)
        return id

    async def arrived(self, id: UUID) -> int:
        part = await self.again.arrived(id)
        assert part is not None
        return part.size_bytes

    async def content(self, file: File, begin: int = 0, end: int | None = None) -> bytes:
        end = file.size_bytes if end is None else end
        return b"".join([chunk async for chunk in self.files.read(file.sha256, begin, end)])


@pytest.fixture(params=["local", "objects"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Stores:
    if request.param == "local":
        return Stores(LocalUploads(tmp_path), LocalUploads(tmp_path), LocalFiles(tmp_path), local.PIECE)
    store = bucket(request.getfixturevalue("s3"))
    return Stores(ObjectUploads(store), ObjectUploads(store), ObjectFiles(store), objects.PIECE)


async def sent(chunks: Iterable[bytes], then: BaseException | None = None) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
    if then is not None:
        raise then


def checksum(data: bytes) -> Checksum:
    return Checksum("sha1", hashlib.sha1(data).digest())


class Cut(Exception):
    """The connection of the sender."""


@pytest.mark.parametrize("sizes", [(len(DATA),), (1, len(DATA) - 1), (0, 3 * MIB, 5, len(DATA) - 3 * MIB - 5)])
async def test_what_was_written_in_pieces_is_the_file(stores: Stores, sizes: tuple[int, ...]) -> None:
    id, at = await stores.begun(), 0
    for size in sizes:
        assert await stores.uploads.write(id, at, sent([DATA[at : at + size]]), None) == at + size
        at += size
    file = await stores.uploads.sum(id, len(DATA))
    assert file == File(sha256=hashlib.sha256(DATA).hexdigest(), size_bytes=len(DATA))
    assert await stores.files.size(file.sha256) is None, "It has no name yet."
    for _ in range(2):
        await stores.uploads.keep(id, file)
    await stores.uploads.drop(id)
    assert await stores.uploads.arrived(id) is None
    assert await stores.files.size(file.sha256) == len(DATA)
    assert await stores.content(file) == DATA
    assert await stores.content(file, 7, MIB + 9) == DATA[7 : MIB + 9]


async def test_another_process_sums_up_what_it_has_not_written(stores: Stores) -> None:
    id = await stores.begun(DATA)
    assert (await stores.again.sum(id, len(DATA))).sha256 == hashlib.sha256(DATA).hexdigest()


async def test_what_came_before_a_cut_stays(stores: Stores) -> None:
    id = await stores.begun(b"one")
    with pytest.raises(Cut):
        await stores.uploads.write(id, 3, sent([DATA[: 2 * MIB], b"two"], Cut()), None)
    assert await stores.arrived(id) == 3 + 2 * MIB + 3


async def test_it_goes_on_only_where_it_ended(stores: Stores) -> None:
    id = await stores.begun(b"four")
    for offset in (0, 3, 5):
        with pytest.raises(WrongOffset) as found:
            await stores.again.write(id, offset, sent([b"more"]), None)
        assert found.value.size_bytes == 4
    assert await stores.arrived(id) == 4


async def test_a_writer_that_hangs_is_overtaken_and_spoils_nothing(stores: Stores) -> None:
    id, go_on, data = await stores.begun(), asyncio.Event(), DATA * 4

    async def hanging() -> AsyncIterator[bytes]:
        yield data[: stores.piece]
        await go_on.wait()
        yield b"x" * stores.piece

    old = asyncio.create_task(stores.uploads.write(id, 0, hanging(), None))
    while await stores.arrived(id) < stores.piece:
        await asyncio.sleep(0.001)
    assert await stores.again.write(id, stores.piece, sent([data[stores.piece :]]), None) == len(data)
    go_on.set()
    with pytest.raises(WrongOffset):
        await old
    assert (await stores.uploads.sum(id, len(data))).sha256 == hashlib.sha256(data).hexdigest()


async def test_two_that_write_the_same_piece_write_it_once(stores: Stores) -> None:
    id = await stores.begun()
    both = [uploads.write(id, 0, sent([DATA]), None) for uploads in (stores.uploads, stores.again)]
    ended = await asyncio.gather(*both, return_exceptions=True)
    assert {type(one) for one in ended} <= {int, WrongOffset}
    assert await stores.arrived(id) == len(DATA) or all(isinstance(one, WrongOffset) for one in ended)


async def test_with_a_checksum_it_is_all_or_nothing(stores: Stores) -> None:
    id = await stores.begun(b"one")
    with pytest.raises(Mismatch):
        await stores.uploads.write(id, 3, sent([DATA]), checksum(b"other"))
    assert await stores.arrived(id) == 3
    with pytest.raises(Cut):
        await stores.uploads.write(id, 3, sent([DATA], Cut()), checksum(DATA))
    assert await stores.arrived(id) == 3
    assert await stores.uploads.write(id, 3, sent([DATA]), checksum(DATA)) == 3 + len(DATA)
    assert (await stores.uploads.sum(id, 3 + len(DATA))).sha256 == hashlib.sha256(b"one" + DATA).hexdigest()


async def test_a_sum_is_of_what_is_there_also_where_another_process_dropped_what_this_one_wrote(stores: Stores) -> None:
    id, other, go_on = await stores.begun(), b"y" * stores.piece, asyncio.Event()

    async def hanging() -> AsyncIterator[bytes]:
        yield b"x" * stores.piece
        await go_on.wait()

    held = asyncio.create_task(stores.uploads.write(id, 0, hanging(), checksum(b"x" * stores.piece)))
    await asyncio.sleep(0.2)  # what is not verified does not count, so nobody can be asked whether it has come
    assert await stores.again.write(id, 0, sent([other]), checksum(other)) == stores.piece
    assert await stores.uploads.write(id, stores.piece, sent([b"end"]), None) == stores.piece + 3
    go_on.set()
    with pytest.raises(WrongOffset):
        await held
    assert (await stores.uploads.sum(id, stores.piece + 3)).sha256 == hashlib.sha256(other + b"end").hexdigest()


async def test_what_is_not_verified_does_not_count_and_a_later_writer_replaces_it(stores: Stores) -> None:
    id, go_on = await stores.begun(b"one"), asyncio.Event()

    async def hanging() -> AsyncIterator[bytes]:
        yield DATA[: 2 * MIB]
        await go_on.wait()

    old = asyncio.create_task(stores.uploads.write(id, 3, hanging(), checksum(DATA)))
    await asyncio.sleep(0.1)
    assert await stores.arrived(id) == 3
    assert await stores.again.write(id, 3, sent([b"two"]), None) == 6
    go_on.set()
    with pytest.raises((WrongOffset, Mismatch)):
        await old
    assert await stores.arrived(id) == 6


async def test_more_than_can_be_verified_at_once_is_refused_and_dropped(s3: str) -> None:
    uploads, id = ObjectUploads(bucket(s3)), new_id()
    await uploads.begin(id)
    data = bytes(objects.MOST_CHECKED + 1)
    with pytest.raises(TooMuch):
        await uploads.write(id, 0, sent([data]), checksum(data))
    part = await uploads.arrived(id)
    assert part is not None and part.size_bytes == 0


async def test_a_store_that_is_away_says_so() -> None:
    nowhere = S3Store(
        "bucket",
        endpoint="http://127.0.0.1:1",
        access_key_id="a",
        secret_access_key="b",
        client_options={"allow_http": True},
        retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=1)},
    )
    with pytest.raises(Away):
        await ObjectUploads(nowhere).begin(new_id())
    with pytest.raises(Away):
        await ObjectFiles(nowhere).size("0" * 64)
    with pytest.raises(Away):
        await ObjectFiles(nowhere).add([(File(sha256="0" * 64, size_bytes=1), b"x")] * 20)


async def test_a_folder_that_fails_is_away(tmp_path: Path) -> None:
    """Here something else lies in its place, as a disk that is gone answers with errors of its own."""
    uploads, files = LocalUploads(tmp_path), LocalFiles(tmp_path)
    for name in ("uploads", "files"):
        shutil.rmtree(tmp_path / name)
        (tmp_path / name).write_bytes(b"no folder")
    file = File(sha256=hashlib.sha256(b"x").hexdigest(), size_bytes=1)
    for asked in (uploads.begin(new_id()), files.add([(file, b"x")]), files.size(file.sha256)):
        with pytest.raises(Away):
            await asked


async def test_an_incomplete_one_is_not_summed_up(stores: Stores) -> None:
    id = await stores.begun(b"one")
    with pytest.raises(WrongOffset):
        await stores.uploads.sum(id, 4)


async def test_an_empty_one_is_a_file(stores: Stores) -> None:
    id = await stores.begun()
    file = await stores.uploads.sum(id, 0)
    await stores.uploads.keep(id, file)
    assert await stores.content(file) == b""


async def test_two_of_the_same_bytes_are_one_file(stores: Stores) -> None:
    first, second = await stores.begun(DATA), await stores.begun(DATA)
    for id in (first, second):
        await stores.uploads.keep(id, await stores.uploads.sum(id, len(DATA)))
        await stores.uploads.drop(id)
    sha256 = hashlib.sha256(DATA).hexdigest()
    assert await stores.content(File(sha256=sha256, size_bytes=len(DATA))) == DATA
    for _ in range(2):
        await stores.files.remove(sha256)
    assert await stores.files.size(sha256) is None


async def test_what_was_dropped_is_not_written_to(stores: Stores) -> None:
    id = await stores.begun(b"one")
    for _ in range(2):
        await stores.uploads.drop(id)
    with pytest.raises(NoUpload):
        await stores.uploads.write(id, 3, sent([b"two"]), None)
    with pytest.raises(NoUpload):
        await stores.uploads.sum(id, 3)


async def test_all_that_lies_there_is_told(stores: Stores) -> None:
    ids = {await stores.begun(b"one"): 3, await stores.begun(): 0}
    assert {id: part.size_bytes async for id, part in stores.again.lying()} == ids


async def test_what_does_not_exist_is_not_read(stores: Stores) -> None:
    with pytest.raises(FileNotFoundError):
        await stores.content(File(sha256="0" * 64, size_bytes=1))


async def test_a_store_without_room_says_so_and_keeps_what_has_arrived(tmp_path: Path) -> None:
    """In a process of its own, which may write files of 2 MiB only."""
    import resource

    stores = LocalUploads(tmp_path)
    id = new_id()
    await stores.begin(id)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    import signal

    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MIB, before[1]))
    try:
        with pytest.raises(Full):
            await stores.write(id, 0, sent([DATA[: 3 * MIB], DATA[3 * MIB :]]), None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)
    part = await stores.arrived(id)
    assert part is not None and part.size_bytes == 2 * MIB
    assert await stores.write(id, 2 * MIB, sent([DATA[2 * MIB :]]), None) == len(DATA)
    assert (await stores.sum(id, len(DATA))).sha256 == hashlib.sha256(DATA).hexdigest()


async def test_what_was_made_is_put_and_fetched(stores: Stores, tmp_path: Path) -> None:
    (made := tmp_path / "made").write_bytes(DATA)
    file = File(sha256=hashlib.sha256(DATA).hexdigest(), size_bytes=len(DATA))
    for _ in range(2):  # a worker that died in between does it again
        await stores.files.put([(str(made), file)])
    made.unlink()
    assert await stores.files.size(file.sha256) == len(DATA)
    assert await stores.content(file) == DATA
    await stores.files.fetch(file.sha256, str(tmp_path / "fetched"))
    assert (tmp_path / "fetched").read_bytes() == DATA
    with pytest.raises(FileNotFoundError):
        await stores.files.fetch("0" * 64, str(tmp_path / "nothing"))


async def test_small_ones_are_added_together(stores: Stores, tmp_path: Path) -> None:
    contents = [b"", b"one", b"two", b"one", *(bytes([number]) * 9_000 for number in range(40))]
    made = [(File(sha256=hashlib.sha256(one).hexdigest(), size_bytes=len(one)), one) for one in contents]
    for _ in range(2):
        await stores.files.add(made)
    assert [await stores.content(file) for file, _ in made] == contents
    assert [id async for id, _ in stores.again.lying()] == [], "nothing is left beside them"


async def test_on_another_disk_it_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_linked", lambda *_: False)
    (made := tmp_path / "made").write_bytes(DATA)
    LocalUploads(tmp_path / "store")
    files = LocalFiles(tmp_path / "store")
    file = File(sha256=hashlib.sha256(DATA).hexdigest(), size_bytes=len(DATA))
    await files.put([(str(made), file)])
    await files.fetch(file.sha256, str(tmp_path / "fetched"))
    assert (tmp_path / "fetched").read_bytes() == DATA
    assert list((tmp_path / "store/uploads").iterdir()) == [], "nothing is left beside it"
