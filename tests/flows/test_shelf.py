"""Do the tasks of one process share what they work on?"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from adapters.files.local import LocalFiles
from adapters.files.local_uploads import LocalUploads
from adapters.tools.shelf import Shelf
from adapters.workers.children import told
from domain.file import File
from domain.outcome import Done, Outcome, Refused

DATA = b"a film" * 1_000
FILM = File(sha256=sha256(DATA).hexdigest(), size_bytes=len(DATA))


@dataclass(frozen=True, slots=True)
class Far(LocalFiles):
    """A store from which a file takes a while, so that others ask meanwhile."""

    fetched: list[str]

    async def fetch(self, sha256: str, path: str) -> None:
        self.fetched.append(sha256)
        await asyncio.sleep(0.05)
        await LocalFiles.fetch(self, sha256, path)


async def touch(files: Sequence[File]) -> None:
    """Nothing is removed here."""


async def remembered(source: str, operation: str) -> Mapping[str, Any] | None:
    return None


async def test_a_source_is_fetched_once_for_all_that_ask_at_once(tmp_path: Path) -> None:
    LocalUploads(tmp_path / "store")
    files = Far(tmp_path / "store", [])
    await files.add([(FILM, DATA)])
    shelf = Shelf(files, touch, remembered, tmp_path / "scratch")

    async def used() -> bytes:
        async with shelf.source(FILM) as opened:
            return os.read(opened(), len(DATA))

    assert await asyncio.gather(*(used() for _ in range(5))) == [DATA] * 5
    assert await used() == DATA
    assert files.fetched == [FILM.sha256]


async def test_many_that_begin_at_once_clear_away_together_what_others_have_left(tmp_path: Path) -> None:
    """As workers do after a power cut: each looks at folders that another is just removing."""
    scratch = tmp_path / "scratch"
    for number in range(300):
        (scratch / f"dead-{number}").mkdir(parents=True)
        (scratch / f"dead-{number}/lock").touch()
    (scratch / "sources").mkdir()
    (scratch / "nothing of ours").touch()

    async def begun() -> None:
        async with Shelf(Far(tmp_path / "store", []), touch, remembered, scratch).bench(uuid4()) as bench:
            assert bench.made.is_dir()

    await asyncio.gather(*(begun() for _ in range(4)))
    assert not list(scratch.glob("dead-*")) and (scratch / "sources").is_dir()


async def test_only_a_file_that_is_not_in_the_store_is_refused_for_good(tmp_path: Path) -> None:
    LocalUploads(tmp_path / "store")
    files = Far(tmp_path / "store", [])
    shelf = Shelf(files, touch, remembered, tmp_path / "scratch")

    async def fetched() -> Outcome:
        await shelf.fetch(FILM, tmp_path / "no folder/film")
        return Done(result=None)

    assert isinstance(outcome := await told(fetched), Refused) and outcome.error.type == "no_file"
    await files.add([(FILM, DATA)])
    with pytest.raises(FileNotFoundError):  # of our own making, so that the attempt stumbles
        await told(fetched)
