"""The catalogue of events: their stored names, their versions, and how old versions are read."""

from collections.abc import Callable
from typing import Any

import msgspec

from domain import account, consumer, image, item, key, order, rebuild, report, task, upload, video
from domain.log import Event
from domain.record import personal_fields, split

# "<category>.<event>" -> type. The stored version of each is 1 unless VERSIONS says more.
TYPES: dict[str, type[Event]] = {
    "task.queued": task.Queued,
    "task.scheduled": task.Scheduled,
    "task.waiting": task.Waiting,
    "task.started": task.Started,
    "task.progressed": task.Progressed,
    "task.stumbled": task.Stumbled,
    "task.rescued": task.Rescued,
    "task.completed": task.Completed,
    "task.failed": task.Failed,
    "task.cancel_requested": task.CancelRequested,
    "task.cancelled": task.Cancelled,
    "task.retried": task.Retried,
    "account.registered": account.Registered,
    "item.created": item.Created,
    "item.changed": item.Changed,
    "item.deleted": item.Deleted,
    "order.created": order.Created,
    "order.confirmed": order.Confirmed,
    "order.recorded": order.Recorded,
    "consumer.added": consumer.Added,
    "consumer.removed": consumer.Removed,
    "key.issued": key.Issued,
    "key.rotated": key.Rotated,
    "key.revoked": key.Revoked,
    "reader.rebuilt": rebuild.Rebuilt,
    "report.requested": report.Requested,
    "report.planned": report.Planned,
    "report.completed": report.Completed,
    "report.deleted": report.Deleted,
    "report.removed": report.Removed,
    "upload.begun": upload.Begun,
    "upload.finished": upload.Finished,
    "upload.rejected": upload.Rejected,
    "upload.expired": upload.Expired,
    "upload.terminated": upload.Terminated,
    "image.created": image.Created,
    "image.deleted": image.Deleted,
    "image.removed": image.Removed,
    "batch.gathered": image.Gathered,
    "video.created": video.Created,
    "video.planned": video.Planned,
    "video.rendition_ready": video.RenditionReady,
    "video.stills_ready": video.StillsReady,
    "video.completed": video.Completed,
    "video.deleted": video.Deleted,
    "video.removed": video.Removed,
}
VERSIONS = {"task.progressed": 2}
NAMES = {kind: name for name, kind in TYPES.items()}

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


def _progressed_1(data: dict[str, Any]) -> dict[str, Any]:
    """Version 1 told a share from 0 to 1 only."""
    return {"done": data["done"], "total": 1.0, "unit": "", "note": ""}


UPCASTERS: dict[tuple[str, int], Upcaster] = {("task.progressed", 1): _progressed_1}
"""(name, version) -> the data as the next version has it."""


class UnknownEvent(Exception):
    """The log holds an event that this program does not know: it was written by a newer one."""


def version_of(name: str) -> int:
    return VERSIONS.get(name, 1)


def dump(event: Event) -> tuple[str, bytes, bytes | None]:
    """The event's name, its open data and its personal data, both as JSON."""
    name = NAMES[type(event)]
    asked = getattr(event, "asked", None)
    if asked is not None:  # the request's personal part is one level down
        whole = {f: getattr(event, f) for f in event.__struct_fields__ if f != "asked"}
        rest, personal = split(msgspec.structs.asdict(asked), ("personal",))
        secret = personal["personal"] or None
        return name, ENCODER.encode(whole | {"asked": rest}), ENCODER.encode(secret) if secret else None
    marked = PERSONAL[name]
    if not marked:
        return name, ENCODER.encode(event), None
    rest, personal = split(msgspec.structs.asdict(event), marked)
    return name, ENCODER.encode(rest), ENCODER.encode(personal)


def load(name: str, version: int, data: bytes | str, personal: bytes | str | None) -> Event:
    """The event again, upcast to the version that this program knows.

    Raises UnknownEvent for a name or version from the future."""
    known = TYPES.get(name)
    if known is None or version > version_of(name):
        raise UnknownEvent(f"The log holds {name} version {version}, which this program does not know: upgrade it.")
    if personal is None and version == version_of(name):
        event: Event = DECODERS[name].decode(data)
        return event
    values = msgspec.json.decode(data)
    while version < version_of(name):
        values = UPCASTERS[name, version](values)
        version += 1
    secret = msgspec.json.decode(personal) if personal is not None else {}
    if values.get("asked") is not None:
        values["asked"]["personal"] = secret
    else:
        values |= secret
    return msgspec.convert(values, known)


ENCODER = msgspec.json.Encoder()
DECODERS = {name: msgspec.json.Decoder(kind) for name, kind in TYPES.items()}
PERSONAL = {name: personal_fields(kind) for name, kind in TYPES.items()}
