"""The log as NDJSON: every fact byte by byte as it is stored, in order, without a gap."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import msgspec

from infra.commands.api import Api
from infra.commands.follow import Patience
from infra.exits import Conflicting, Failed, NotFound

AT_ONCE = 1_000


class _Page(msgspec.Struct):
    items: list[msgspec.Raw]
    epoch: str
    head: int


class _Numbered(msgspec.Struct):
    position: int


PAGE, NUMBERED = msgspec.json.Decoder(_Page), msgspec.json.Decoder(_Numbered)


@dataclass(frozen=True, slots=True)
class Part:
    """Some lines, and the position of the last of them."""

    position: int
    lines: bytes = b""


def facts(api: Api, after: int, until: int | None) -> Iterator[Part]:
    """First a part without lines, which tells where it will end; then all that is after `after`, up to there.

    Raises NotFound where the log ends before that, Failed at a gap, Conflicting where the epoch changes meanwhile."""
    patience = Patience()
    page = _page(api, after)
    epoch, last = page.epoch, page.head if until is None else until
    if max(after, last) > page.head:
        raise NotFound(f"There is no position {max(after, last)}: the log ends at {page.head}.")
    yield Part(last)
    while after < last:
        part = _part(page, after, last)
        yield part
        if (after := part.position) < last:
            page = patience.ask(partial(_page, api, after))
            if page.epoch != epoch:
                raise Conflicting(f"The log's epoch changed from {epoch} to {page.epoch}: begin the export anew.")


def _part(page: _Page, after: int, last: int) -> Part:
    found = page.items[: last - after]
    for wanted, item in enumerate(found, after + 1):
        if (position := NUMBERED.decode(item).position) != wanted:
            raise Failed(f"The log has a gap: after the position {wanted - 1} comes {position}.")
    if not found:
        raise Failed(f"The log has a gap: nothing comes after the position {after}, and it ends at {page.head}.")
    return Part(after + len(found), b"".join(_one_line(item) for item in found))


def _one_line(item: msgspec.Raw) -> bytes:
    """What is kept as JSON may hold line breaks between its tokens."""
    return bytes(item).replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"


def _page(api: Api, after: int) -> _Page:
    return PAGE.decode(api.get("/v1/events", [("after", after), ("limit", AT_ONCE)]).body)
