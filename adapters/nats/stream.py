"""The stream LOG: made, filled and read back. JetStream's sequence is the position, so a repeat is refused by the
server and a gap is impossible."""

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from msgspec.structs import replace
from nats.aio.client import Client

from adapters.nats.api import NO_MESSAGE, NO_STORE, NO_STREAM, ApiError, ask, call
from adapters.nats.names import STREAM, SUBJECTS
from adapters.nats.raw import message, send
from domain import cloudevents
from domain.cloudevents import DATASCHEMA, STUB
from domain.mirror import Line, State, Stored

FEW = 8  # up to here single publishes are sooner stored than an atomic batch, which has a floor of 5 ms
EMPTY = b"null"
MOST_MESSAGE = 2 * 1024 * 1024  # bytes: so much more than it must may the server discard
TRIES, PAUSE_S = 5, 0.1  # to make the stream


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the stream keeps: the oldest goes first. Postgres keeps everything."""

    max_bytes: int
    max_age_s: float
    replicas: int = 1


class LogStream:
    """The port `domain.mirror.Bus`. Raises ApiError where the server refuses, NoAnswer where it is silent."""

    def __init__(self, client: Client, limits: Limits) -> None:
        self._client, self._limits = client, limits

    async def state(self) -> State | None:
        """What the stream holds, and what its limits may have taken; None where there is no stream."""
        try:
            info = await call(self._client, f"STREAM.INFO.{STREAM}")
        except ApiError as error:
            if error.code == NO_STREAM:
                return None
            raise
        state, config = info["state"], info["config"]
        metadata = config.get("metadata") or {}
        return State(
            first=state["first_seq"],
            last=state["last_seq"],
            messages=state["messages"],
            epoch=metadata.get("epoch", ""),
            begin=max(config.get("first_seq", 1), int(metadata.get("begin", 1))),
            full=0 < config["max_bytes"] <= 2 * (state["bytes"] + MOST_MESSAGE),
            created=datetime.fromisoformat(info["created"]),
            young=_young(datetime.fromisoformat(info["ts"]), config["max_age"] / 1e9),
        )

    async def id_at(self, position: int) -> str | None:
        """The id of the message at the position; None where there is no message, "" where it has no id."""
        try:
            found = await call(self._client, f"STREAM.MSG.GET.{STREAM}", {"seq": position})
        except ApiError as error:
            if error.code == NO_MESSAGE:
                return None
            raise
        return _headers(base64.b64decode(found["message"].get("hdrs", ""))).get("ce-id", "")

    async def create(self, first: int, epoch: str) -> None:
        """Make the stream, empty; its first message will have the position `first`."""
        wanted = config_of(self._limits) | {"first_seq": first, "metadata": {"epoch": epoch}}
        for again in reversed(range(TRIES)):
            try:
                made = await call(self._client, f"STREAM.CREATE.{STREAM}", wanted)
                break
            except ApiError as error:
                if error.code != NO_STORE or not again:
                    raise
                await asyncio.sleep(PAUSE_S)
        _require_echo(wanted, made["config"])

    async def bring_up_to_date(self) -> bool:
        """Give a stream that is there the settings of today; answers whether they were others."""
        info = await call(self._client, f"STREAM.INFO.{STREAM}")
        found, wanted = info["config"], config_of(self._limits)
        if all(found.get(name) == value for name, value in wanted.items()):
            return False
        begin = {"begin": str(info["state"]["first_seq"])}  # what is gone by now, the limits of before took
        metadata = {"metadata": (found.get("metadata") or {}) | begin}
        made = await call(self._client, f"STREAM.UPDATE.{STREAM}", found | wanted | metadata)
        _require_echo(wanted, made["config"])
        return True

    async def delete(self) -> None:
        """Remove the stream and all its consumers; nothing happens where there is none."""
        try:
            await call(self._client, f"STREAM.DELETE.{STREAM}")
        except ApiError as error:
            if error.code != NO_STREAM:
                raise

    async def publish(self, lines: Sequence[Line], last: int) -> None:
        """Store the lines after the position `last`, all acknowledged when this returns.

        Raises ApiError (10071: the stream's last position is another) or NoAnswer: then some may be stored."""
        if len(lines) <= FEW:
            await self._singles(lines, last)
        else:
            await self._batch(lines, last)

    async def _singles(self, lines: Sequence[Line], last: int) -> None:
        """Pipelined, each bound to the one before it by sequence *and* by id: by sequence alone, a foreign message in
        the place of one would let the later ones through."""
        asked, before = [], None
        for sequence, line in enumerate(map(self._fit, lines), last):
            headers = line.headers | {"Nats-Msg-Id": line.id, "Nats-Expected-Last-Sequence": str(sequence)}
            if before is not None:
                headers["Nats-Expected-Last-Msg-Id"] = before
            asked.append(ask(self._client, line.subject, line.payload, headers))
            before = line.id
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        stored = [answer["seq"] for answer in answers if isinstance(answer, dict)]
        if stored != list(range(last + 1, last + 1 + len(lines))):
            raise ApiError("publish", 0, f"the positions {stored} are not those of the ledger after {last}")

    async def _batch(self, lines: Sequence[Line], last: int) -> None:
        """One atomic batch: all or none, one fsync, one acknowledgement."""
        lines, batch = [self._fit(line) for line in lines], uuid4().hex
        first, *middle, final = lines

        def headers(line: Line, number: int) -> dict[str, str]:
            return {**line.headers, "Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}

        begin = headers(first, 1) | {"Nats-Expected-Last-Sequence": str(last)}
        await ask(self._client, first.subject, first.payload, begin)
        parts = [message(line.subject, headers(line, number), line.payload) for number, line in enumerate(middle, 2)]
        await send(self._client, b"".join(parts))
        end = headers(final, len(lines)) | {"Nats-Batch-Commit": "1"}
        answer = await ask(self._client, final.subject, final.payload, end)
        if not isinstance(answer, dict) or answer.get("seq") != last + len(lines):
            raise ApiError("publish", 0, f"the batch ended at {answer}, not at {last + len(lines)}")

    def _fit(self, line: Line) -> Line:
        """The line, or where the server cannot take so much a stub: who needs it fetches it by its position."""
        if len(line.payload) + 4096 <= self._client.max_payload:
            return line
        headers = {name: value for name, value in line.headers.items() if name != DATASCHEMA}  # null is not of it
        return replace(line, headers=headers | {STUB: "1"}, payload=EMPTY)


def config_of(limits: Limits) -> dict[str, Any]:
    """The settings of the stream, as JetStream takes and tells them."""
    return {
        "name": STREAM,
        "description": "The log of postcommit: a mirror, the truth is in Postgres.",
        "subjects": list(SUBJECTS),
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "max_bytes": limits.max_bytes or -1,  # as the server says it
        "max_age": int(limits.max_age_s * 1e9),
        "num_replicas": limits.replicas,
        "duplicate_window": int(min(120.0, limits.max_age_s or 120.0) * 1e9),
        "allow_direct": True,
        "allow_atomic": True,
    }


def line(stored: Stored, epoch: str, public_url: str) -> Line:
    """A fact as a message. Personal data stays in Postgres."""
    headers = cloudevents.headers(stored, epoch, public_url)
    return Line(stored.position, stored.id, stored.subject, headers, stored.data, stored.at)


def _young(now: datetime, max_age_s: float) -> datetime:
    """What was stored since then has not aged out, even where clocks differ by a tenth of the limit."""
    if not max_age_s:
        return datetime.min.replace(tzinfo=UTC)
    return now - timedelta(seconds=0.9 * max_age_s)


def _headers(raw: bytes) -> dict[str, str]:
    lines = raw.decode(errors="replace").split("\r\n")[1:]
    pairs = (text.partition(":") for text in lines if text)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _require_echo(wanted: dict[str, Any], echoed: dict[str, Any]) -> None:
    """Older servers ignore options that they do not know, and say nothing."""
    wrong = [name for name, value in wanted.items() if name != "metadata" and echoed.get(name) != value]
    if wrong:
        raise ApiError("STREAM.CREATE", 0, f"the server did not take the settings {', '.join(wrong)}")
