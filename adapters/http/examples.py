"""The examples of the API's description: an account, its welcome, a probe, as they would be told."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from adapters.http.problems import DETAILS, PROBLEMS, Problem, invalid
from adapters.http.shape import flaw
from adapters.http.shown import Accepted, TaskShown, etag_of, shown
from domain import task
from domain.outcome import Progress
from domain.task import Asked, Task
from domain.views import Balance, Line, Seen

AT = datetime(2030, 1, 31, 12, tzinfo=UTC)
ACCOUNT_ID = UUID("01943a5e-1c00-7a10-8000-00000000a001")
TASK_ID = UUID("01943a5e-1c00-7a10-8000-00000000b001")
RETRY_ID = UUID("01943a5e-1c00-7a10-8000-00000000b002")
EVENT_ID = UUID("01943a5e-1c00-7a10-8000-00000000e001")
ITEM_ID = UUID("01943a5e-1c00-7a10-8000-00000000c001")
ORDER_ID = UUID("01943a5e-1c00-7a10-8000-00000000d001")
VIDEO_ID = UUID("01943a5e-1c00-7a10-8000-00000000f101")
IMAGE_ID = UUID("01943a5e-1c00-7a10-8000-00000000f201")
BATCH_ID = UUID("01943a5e-1c00-7a10-8000-00000000f202")
REPORT_ID = UUID("01943a5e-1c00-7a10-8000-00000000f301")
UPLOAD_ID = UUID("01943a5e-1c00-7a10-8000-00000000f001")
CURSOR = "q1XKbWyQ0Z8wMTk0M2E1ZS0xYzAwLTdhMTA"
EPOCH = UUID("01943a5e-1c00-7a10-8000-00000000ec00")

PROBE_REQUEST: dict[str, Any] = {"work_s": 0.5, "payload": "hello"}
_ASKED = Asked(kind="probe", queue="default", request=PROBE_REQUEST, personal={}, max_attempts=5, by="client")
_DONE = task.Completed(
    result={"payload": "hello", "attempt": 1}, progress=Progress(done=0.5, total=0.5, unit="s", note="slept")
)
_QUEUED = task.fold([(task.Queued(asked=_ASKED), AT)])
_COMPLETE = task.fold([(task.Started(turn=1, attempt=1, worker="worker-1"), AT), (_DONE, AT)], _QUEUED)
_CANCELLED = task.fold([(task.Cancelled(by="client", reason="not needed"), AT)], _QUEUED)
_AGAIN = task.fold([(task.Queued(asked=msgspec.structs.replace(_ASKED, retry_of=TASK_ID)), AT)])


def seen(state: Task, position: int | None = None, id: UUID = TASK_ID) -> dict[str, Any]:
    return shown(Seen(id=id, task=state, position=position))


TASK = TaskShown(**seen(_COMPLETE, 9))
ETAG = etag_of(_COMPLETE)
QUEUED = seen(_QUEUED)
ACCEPTED = Accepted(**QUEUED, tasks=[TASK_ID], events=[EVENT_ID])
ACCEPTED_COMPLETE = Accepted(**seen(_COMPLETE, 9), tasks=[TASK_ID], events=[EVENT_ID])
CANCELLED = Accepted(**seen(_CANCELLED), tasks=[TASK_ID], events=[EVENT_ID])
CANCELLED_BEFORE = Accepted(**seen(_CANCELLED, 8), tasks=[TASK_ID], events=[])
RETRIED = Accepted(**seen(_AGAIN, id=RETRY_ID), tasks=[RETRY_ID], events=[EVENT_ID])
LINE = Line(
    position=7,
    id=EVENT_ID,
    stream=f"task-{TASK_ID}",
    version=1,
    name="task.queued",
    name_version=1,
    at=AT,
    subject=f"tasks.v1.default.probe.queued.{TASK_ID}",
    data=msgspec.Raw(msgspec.json.encode({"asked": {"kind": "probe", "queue": "default", "request": PROBE_REQUEST}})),
    personal=None,
    meta=msgspec.Raw(b'{"actor":"client","request_id":"checkout-7"}'),
)
BALANCE = Balance(position=9, accepted=3, complete=2, failed=0, cancelled=0, open=1, difference=0)


def problem(slug: str) -> Problem:
    """How a problem may look; one that is unknown here says its title."""
    match slug:
        case "invalid":
            return invalid([flaw("/email", "Expected an e-mail address in ASCII, such as ann@example.com")])
        case "not-found":
            return Problem(slug, f"There is no task {TASK_ID}.")
        case "log-changed":
            return Problem(slug, "It ends at 9, before 12: begin anew.", epoch=EPOCH, head=9)
        case "stale":
            return Problem(slug, f"The task is at {ETAG}.", headers={"ETag": ETAG})
        case _:
            return Problem(slug, SAID.get(slug) or DETAILS.get(slug) or f"{PROBLEMS[slug][1]}.")


SAID = {
    "gone": f"The item {ITEM_ID} was deleted.",
    "precondition-required": f"Send If-Match with the ETag that you have read, now {ETAG}.",
    "malformed-json": "The body is not UTF-8 JSON: Input data was truncated.",
    "unauthorized": "Send a key: Authorization: Bearer <key>.",
    "forbidden": "The key 'worker' has the scope worker, which may not write.",
    "bad-idempotency-key": "It must be 1 to 255 visible ASCII characters.",
    "key-reused": "This Idempotency-Key was used for a request with another body or path.",
    "unsupported-media-type": "Send application/json; this is text/plain.",
    "conflict": f"The task {TASK_ID} is complete: it has ended, and cannot be cancelled.",
    "over-quota": "A key may announce 100 bytes within 24 hours; 90 are announced, and this has 20.",
    "no-such-range": "The file has 5000000 bytes.",
    "other-tus": "Send Tus-Resumable: 1.0.0; this does not say.",
    "wrong-checksum": "The bytes of this request do not sum up to Upload-Checksum; they were dropped.",
    "wrong-offset": "1024 bytes have arrived: go on from there.",
    "too-slow": "No bytes came for 60 s.",
    "not-yet": "The reader audit has not applied the position 9 yet.",
}
