"""Calls of the JetStream API, as JSON over requests: unknown options and echoed settings stay visible."""

import json
from typing import Any

from nats.aio.client import Client
from nats.errors import NoRespondersError

TIMEOUT_S = 5.0
NO_STREAM = 10059
NO_STORE = 10049  # the directory of a stream that was deleted a moment ago may still be there
NO_CONSUMER = 10014
NO_MESSAGE = 10037
WRONG_LAST_SEQUENCE = 10071


class ApiError(Exception):
    """JetStream said no; `code` is its own number of the error."""

    def __init__(self, call: str, code: int, description: str) -> None:
        super().__init__(f"NATS refused {call}: {description} ({code}).")
        self.code = code


class NoAnswer(Exception):
    """JetStream did not answer: it is starting, away, or this user may not ask."""


async def call(client: Client, name: str, request: dict[str, Any] | None = None, timeout: float = TIMEOUT_S) -> Any:
    """Call `$JS.API.<name>`. Raises ApiError or NoAnswer."""
    payload = json.dumps(request).encode() if request is not None else b""
    return await ask(client, f"$JS.API.{name}", payload, timeout=timeout)


async def ask(
    client: Client, subject: str, payload: bytes, headers: dict[str, str] | None = None, timeout: float = TIMEOUT_S
) -> Any:
    """Send a request and decode its answer; an empty answer is None."""
    try:
        message = await client.request(subject, payload, timeout=timeout, headers=headers)
    except (TimeoutError, NoRespondersError) as error:
        raise NoAnswer(f"NATS did not answer {subject}.") from error
    answer = json.loads(message.data) if message.data else None
    if isinstance(answer, dict) and (wrong := answer.get("error")):
        raise ApiError(subject, wrong.get("err_code", wrong["code"]), wrong.get("description", ""))
    return answer
