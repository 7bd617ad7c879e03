"""asyncpg is told what an array is, and encodes every array as it did before."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from asyncpg.protocol import protocol

from adapters.postgres.hot import know_arrays

ARRAYS: list[tuple[str, Any]] = [
    ("text[]", ["a", None, '{"b": [1]}', ""]),
    ("int[]", [1, None, -7]),
    ("uuid[]", [UUID(int=7), None]),
    ("timestamptz[]", [datetime(2026, 1, 1, tzinfo=UTC), None]),
    ("bytea[]", [b"\x00\xff", None]),
    ("bool[]", [True, None, False]),
    ("json[]", ['{"a": 1}', None]),
    ("int[]", [[1, 2], [3, 4]]),
    ("text[]", ("a", "b")),
    ("text[]", []),
]


@pytest.fixture
def told() -> Iterator[None]:
    before = protocol.IterableABC, protocol.SizedABC  # without these names the driver asks in another way
    know_arrays()
    yield
    protocol.IterableABC, protocol.SizedABC = before


@pytest.mark.parametrize(("type", "array"), ARRAYS)
async def test_an_array_comes_back_as_it_was_sent(type: str, array: Any, dsn: Callable[[str], str], told: None) -> None:
    connection = await asyncpg.connect(dsn("postcommit"))
    try:
        found = await connection.fetchval(f"SELECT $1::{type}", array)
    finally:
        await connection.close()
    assert found == list(array)


async def test_what_is_neither_list_nor_tuple_is_no_array(dsn: Callable[[str], str], told: None) -> None:
    connection = await asyncpg.connect(dsn("postcommit"))
    try:
        with pytest.raises(asyncpg.DataError):  # a set was an array before
            await connection.fetchval("SELECT $1::int[]", [{1}, {2}])
    finally:
        await connection.close()
