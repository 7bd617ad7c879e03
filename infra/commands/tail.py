"""The live stream of the log (server-sent events), followed across lost connections."""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from infra.commands import show
from infra.commands.api import Api
from infra.commands.follow import AWAY_S
from infra.exits import Away

SILENCE_S = 45.0  # the API sends a ping every 15 s
PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class Line:
    """One fact: its position, and its JSON on one line."""

    position: int
    text: str

    def item(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text)
        return found


@dataclass(slots=True)
class Place:
    """How far the log was followed, and in which epoch."""

    position: int | None
    epoch: str | None = None


def tail(api: Api, after: int | None, silence_s: float = SILENCE_S, away_s: float = AWAY_S) -> Iterator[Line]:
    """Every fact after a position, else from now on, until the consumer ends.

    Raises Conflicting where the epoch is another one than at the beginning, Away where the API stays away."""
    place, last_heard = Place(after), None
    while True:
        try:
            for line in _connected(api, place, silence_s):
                last_heard = time.monotonic()
                if line is not None:
                    yield line
        except (OSError, HTTPException, Away) as error:
            if last_heard is None or time.monotonic() - last_heard > away_s:
                raise error if isinstance(error, Away) else Away(f"The stream broke off: {error}.") from error
        show.say(f"The connection ended after the position {place.position}; it is made again.")
        time.sleep(PAUSE_S)


def _connected(api: Api, place: Place, silence_s: float) -> Iterator[Line | None]:
    """The facts of one connection; None for what is heard beside them."""
    query = [("after", place.position), ("epoch", place.epoch)]
    seen = {"Last-Event-ID": str(place.position)} if place.position is not None else {}
    response = api.stream("/v1/events/stream", query, silence_s, seen)
    place.epoch = place.epoch or response.headers["Postcommit-Epoch"]
    for id, data in frames(iter(response.readline, b"")):
        if id is not None:
            place.position = id
        yield Line(id, data) if id is not None and data else None


def frames(lines: Iterable[bytes]) -> Iterator[tuple[int | None, str]]:
    """The id and the data of each frame (WHATWG's server-sent events, as far as this stream uses them). A frame that
    breaks off is none."""
    id: int | None = None
    data: list[str] = []
    for raw in lines:
        name, _, value = raw.decode().rstrip("\r\n").partition(":")
        if not raw.strip():
            yield id, "\n".join(data)
            id, data = None, []
        elif name == "id":
            id = int(value)
        elif name == "data":
            data.append(value.removeprefix(" "))
