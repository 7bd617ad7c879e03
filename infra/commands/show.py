"""How answers look: JSON for programs, tables and bars for people. Rich is imported where it is used only."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from infra.commands.api import printable

if TYPE_CHECKING:
    from rich.progress import Progress

WIDE = 10_000  # columns, where nobody looks at a terminal: nothing is cut there


def document(value: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(value, indent=2))


def pages(pages: Iterable[dict[str, Any]]) -> None:
    """One JSON document on stdout: the items of all pages, written as they come, and what else the last page tells."""
    print('{"items": [', end="")
    between, page = "", {}
    for page in pages:
        for item in page["items"]:
            print(f"{between}\n  {json.dumps(item)}", end="")
            between = ","
    more = {name: value for name, value in page.items() if name != "items"}
    print("\n]" + "".join(f", {json.dumps(name)}: {json.dumps(value)}" for name, value in more.items()) + "}")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on stdout; what is None is shown as nothing."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        shown.add_column(column, no_wrap=True, overflow="ellipsis", min_width=36 if column == "id" else None)
    for row in rows:
        shown.add_row(*(Text("" if cell is None else printable(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else WIDE, highlight=False).print(shown, soft_wrap=False)


def values(pairs: Iterable[tuple[str, object]]) -> None:
    """Names and values on stdout, a line each; what is None is left out."""
    for name, value in pairs:
        if value is not None:
            told = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
            print(f"{name:<17} {printable(told)}")


def say(text: object) -> None:
    """Talk, on stderr."""
    print(printable(text), file=sys.stderr, flush=True)


@contextmanager
def bars(*columns: str) -> "Iterator[Progress | None]":
    """Bars on stderr for as long as the block runs; None where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    shown = [TextColumn(column, markup=False) for column in columns]
    with Progress(shown[0], BarColumn(), *shown[1:], console=Console(stderr=True)) as progress:
        yield progress
