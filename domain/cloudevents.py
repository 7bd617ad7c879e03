"""A fact as the headers of a message: CloudEvents 1.0 in binary mode (its NATS protocol binding 3.1)."""

import re

from domain.mirror import Stored

SOURCE = "/postcommit"
EPOCH = "Postcommit-Epoch"
STUB = "Postcommit-Stub"
DATASCHEMA = "ce-dataschema"
ENCODED = re.compile(r'[^\x21-\x7e]|["%]')  # what a header may not hold as it is

# Every header of a message, and what it says. `ce-` attributes that are no part of CloudEvents are extensions.
HEADERS: dict[str, str] = {
    "ce-specversion": "The version of CloudEvents: 1.0.",
    "ce-id": "The fact's own id, a UUIDv7. It never changes.",
    "ce-source": f"Always {SOURCE}.",
    "ce-type": "The event and the version of its fields: order.confirmed.v1.",
    "ce-subject": "The stream of the thing that it is about: order-<uuid>.",
    "ce-time": "When it happened, RFC 3339 in UTC.",
    DATASCHEMA: "Where the JSON Schema of the payload is. A stub has none.",
    "ce-sequence": "The fact's place in the stream of its thing: 1, 2, 3, …, dense.",
    "ce-position": "The fact's place in the whole log: 1, 2, 3, …, dense. It is JetStream's sequence as well.",
    "ce-correlationid": "The same for all that one request set off; there only where it is known.",
    "ce-causationid": "The id of the fact that this one follows from; there only where there is one.",
    "content-type": "Of the payload: always application/json.",
    EPOCH: "Which history the position belongs to: with another one, positions have another content.",
    STUB: "1 where the fact is too large for a message: the payload is null, and is to be asked for by its position.",
    "traceparent": "W3C Trace Context of the request that caused it; there only where it is known.",
    "Nats-Msg-Id": "The same as ce-id, where the server was to look for repeats.",
}
ALWAYS = (
    *(f"ce-{name}" for name in ("specversion", "id", "source", "type", "subject", "time", "sequence", "position")),
    "content-type",
    EPOCH,
)


def headers(stored: Stored, epoch: str, public_url: str) -> dict[str, str]:
    """The headers of the fact's message. The schema's address is absolute, as CloudEvents wants it."""
    told = {
        "ce-specversion": "1.0",
        "ce-id": stored.id,
        "ce-source": SOURCE,
        "ce-type": f"{stored.name}.v{stored.name_version}",
        "ce-subject": stored.stream,
        "ce-time": stored.at.isoformat().replace("+00:00", "Z"),
        DATASCHEMA: f"{public_url}{schema_path(stored.name, stored.name_version)}",
        "ce-sequence": str(stored.version),
        "ce-position": str(stored.position),
        "ce-correlationid": stored.correlation_id,
        "ce-causationid": stored.causation_id,
        "content-type": "application/json",
        EPOCH: epoch,
        "traceparent": stored.traceparent,
    }
    known = {name: value for name, value in told.items() if value}
    if ENCODED.search("".join(known.values())) is None:  # as is nearly always so: one search for all of them
        return known
    return {name: encoded(value) for name, value in known.items()}


def encoded(value: str) -> str:
    """The value as a header may hold it: all but visible ASCII is percent-encoded, and so are `"` and `%` (HTTP
    binding 3.1.3.2, which the one for NATS follows)."""
    return ENCODED.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "replace")), value)


def schema_path(name: str, version: int) -> str:
    """Where the JSON Schema of an event's version is told."""
    return f"/schemas/{name}/{version}"
