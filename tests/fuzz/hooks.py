"""What schemathesis cannot know: which work takes hours, and which refusals have to do with the state alone."""

from datetime import UTC, datetime
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, HookContext, Response, SerializationContext
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.openapi.checks import RejectedPositiveData

from domain import account

SHORT_S = 0.01  # of a probe
PATIENCE_S = 1  # of a caller
OF_STATE = {  # the same request is taken at another time, or of another file
    *("/problems/stale", "/problems/key-reused", "/problems/gone", "/problems/no-such-range"),
    *(
        "/problems/too-slow",
        "/problems/too-large",
        "/problems/wrong-checksum",
    ),  # other bytes are announced than sent
}
OTHERWISE = (  # what the state, an index or a setting decides
    "There is no ",
    "of an earlier page of this list",
    "No index serves it alone",
    "The field /notify is wrong",
    "The field /begin is wrong",
    "The field /end is wrong",
    "The header Upload-Checksum is wrong",
    "The form cannot be read",
    "The parameter until is wrong",
    "Expected a time from the year 1970 to 9998",  # when a task may be due
    "This time does not exist in UTC",
    "The field /email is wrong",  # its format is ours, and schemathesis also takes other texts for it
)
BYTES = "application/offset+octet-stream"  # of tus
NOT_NEGATIVE = (
    "positive test case",  # schemathesis meant to break it, and did not
    "parameter `Content-Length` in header",  # its client sends the right one
    "parameter `Range` in header",  # one that cannot be read counts for nothing (RFC 9110 14.2)
    "in header - object with unexpected properties",
)

TEXTS = {  # what matches a pattern that looks ahead; schemathesis would search for a minute, in vain
    account.EMAIL: ("account_email", r"[a-z0-9!#$&+/^_{|}~-]{1,64}@[a-z0-9]{1,63}"),
    account.NAME: ("account_name", r"[^\x00-\x1f\x7f-\x9f\u2028\u2029?]{0,99}[a-zäß漢]"),
}
for format, text in TEXTS.values():
    schemathesis.openapi.format(format, st.from_regex(text, fullmatch=True))
ENDS = ("0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-12:00")
TIMES = st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat)  # schemathesis would keep to the middle of time
schemathesis.openapi.format("date-time", TIMES | st.sampled_from(ENDS))


@schemathesis.serializer(BYTES)
def bytes_of(context: SerializationContext, value: Any) -> bytes:
    """What tus sends, as it is."""
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def before_load_schema(context: HookContext, raw_schema: dict[str, Any]) -> None:
    for schema in raw_schema["components"]["schemas"].values():
        for field in schema.get("properties", {}).values():
            if field.get("pattern") in TEXTS:
                format, _ = TEXTS[field["pattern"]]
                field.clear()
                field.update({"type": "string", "format": format})


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Work and waiting are made short, and 5.0, which is whole to JSON Schema, becomes 5; what is wrong stays wrong."""
    case.body = _whole(case.body)
    for asked in case.body if isinstance(case.body, list) else [case.body]:
        if isinstance(asked, dict) and isinstance(request := asked.get("request"), dict):
            for name in ("work_s", "cpu_s"):
                _shorten(request, name, SHORT_S, 86_400)
    if isinstance(case.query, dict):
        _shorten(case.query, "wait", PATIENCE_S, float("inf"))


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _whole(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_whole(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _shorten(values: dict[str, Any], name: str, most: float, allowed: float) -> None:
    given = values.get(name)
    if isinstance(given, int | float) and most < given <= allowed:
        values[name] = most


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Case, response: Response) -> bool:
    """Whether it is one. That an ETag is old, a key used or an event unknown, a schema does not say."""
    wrong_bytes = "in body" in failure.message and case.media_type == BYTES  # there are none
    if isinstance(failure, AcceptedNegativeData) and (
        wrong_bytes or any(words in failure.message for words in NOT_NEGATIVE)
    ):
        return False
    if not isinstance(failure, RejectedPositiveData) or case.method == "HEAD":
        return not isinstance(failure, RejectedPositiveData)
    told = response.json()
    return told["type"] not in OF_STATE and not any(words in told["detail"] for words in OTHERWISE)
