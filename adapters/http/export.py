"""Whole lists at once, line by line: NDJSON or CSV, for whoever asks for them by `Accept`."""

import csv
import io
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any

import msgspec
from litestar.response import Stream

from adapters.http.desk import Call
from adapters.http.shown import ENCODER

NDJSON, CSV = "application/x-ndjson", "text/csv"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
DANGEROUS = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet takes what begins so for a formula


def wanted(request: Call, *known: str) -> str | None:
    """The first of these media types that the caller accepts; None where it is JSON."""
    accepted = [part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "").split(",")]
    return next((kind for kind in accepted if kind in known), None)


def limit_of(request: Call, limit: int) -> int | None:
    """How many lines the caller wants; None, for all of them, where it does not say."""
    return limit if "limit" in request.query_params else None


async def exported(kind: str, pages: AsyncIterator[Sequence[Any]], most: int | None) -> Stream:
    """All that the pages hold, at most so many lines. An error after the first page cuts the connection, so that no
    part is taken for the whole."""
    encode = _csv() if kind == CSV else _ndjson
    first: Sequence[Any] = await anext(pages, [])

    async def lines() -> AsyncGenerator[bytes, None]:
        page, left = first, most
        while page:
            page = page if left is None else page[:left]
            yield encode(page)
            left = None if left is None else left - len(page)
            page = await anext(pages, []) if left is None or left > 0 else []

    return Stream(lines(), media_type=kind, headers=HEADERS)


def _ndjson(items: Sequence[Any]) -> bytes:
    return b"".join(_one_line(ENCODER.encode(item)) for item in items)


def _one_line(line: bytes) -> bytes:
    """What Postgres keeps as JSON may hold line breaks between its tokens."""
    return line.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"


def _csv() -> Callable[[Sequence[Any]], bytes]:
    """Rows as RFC 4180 has them, the names first; an object stands as JSON in its cell."""
    told = False

    def encode(items: Sequence[Any]) -> bytes:
        nonlocal told
        text = io.StringIO()
        rows = [msgspec.to_builtins(item) for item in items]
        writer = csv.writer(text)
        if not told:
            writer.writerow(rows[0])
            told = True
        writer.writerows([_cell(value) for value in row.values()] for row in rows)
        return text.getvalue().encode()

    return encode


def _cell(value: Any) -> Any:
    text = ENCODER.encode(value).decode() if isinstance(value, dict | list) else value
    return f"'{text}" if isinstance(text, str) and text.startswith(DANGEROUS) else text
