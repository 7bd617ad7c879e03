"""The REST API as the command line asks it: what it answers, or one sentence about why it does not.

Only the standard library, because a command should answer at once. Every request can be repeated: a POST has an
Idempotency-Key. So a connection that is lost in the midst is no error before the third time."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from infra import reach
from infra.exits import Away, Conflicting, Failed, Misused, NotAllowed, NotFound, Refused, Stop
from infra.settings import mask

TRIES = 3
PATIENCE_S = 15.0  # for an answer that nothing is waited for
STOPS: Mapping[int, type[Stop]] = {
    **dict.fromkeys((400, 413, 414, 415, 422, 431), Misused),
    **dict.fromkeys((401, 403), NotAllowed),
    **dict.fromkeys((404, 410), NotFound),
    **dict.fromkeys((409, 412), Conflicting),
    **dict.fromkeys((502, 503, 504), Away),
}
Query = Iterable[tuple[str, object]]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # names in small letters
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Api:
    """One connection to the REST API, made when it is needed."""

    def __init__(self, url: str, key: str) -> None:
        if not key:
            raise Refused("There is no key for the REST API: give --home, or set POSTCOMMIT_KEY.")
        parts = urlsplit(url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._connection = kind(parts.hostname or "", parts.port, timeout=PATIENCE_S)
        self._base, self._where, self._key = parts.path.rstrip("/"), mask(url), key

    @classmethod
    def of(cls, home: Path | None) -> "Api":
        return cls(*reach.api(home))

    def get(self, path: str, query: Query = (), *, wait_s: float = 0.0, **headers: str) -> Answer:
        """Raises the Stop that fits what the API says, Away where nothing answers; 304 is an answer."""
        return self._answer("GET", path + _query(query), None, headers, wait_s)

    def post(self, path: str, body: Mapping[str, Any]) -> Answer:
        """The same; it is done once, whatever becomes of the connection."""
        headers = {"Idempotency-Key": uuid4().hex, "Content-Type": "application/json"}
        return self._answer("POST", path, json.dumps(body).encode(), headers, 0.0)

    def stream(self, path: str, query: Query, patience_s: float, headers: Mapping[str, str]) -> HTTPResponse:
        """A live stream, to be read line by line; silence for longer than `patience_s` raises TimeoutError there."""
        self.close()
        response = self._once("GET", path + _query(query), None, headers, patience_s)
        if response.status != 200:
            raise self._stop(Answer(response.status, _headers(response), response.read()))
        return response

    def close(self) -> None:
        self._connection.close()

    def _answer(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], wait_s: float) -> Answer:
        for left in reversed(range(TRIES)):
            try:
                response = self._once(method, path, body, headers, PATIENCE_S + wait_s)
                answer = Answer(response.status, _headers(response), response.read())
                break
            except (OSError, HTTPException) as error:
                self.close()
                if left == 0:
                    raise self._lost(error) from error
        if answer.status >= 300 and answer.status != 304:
            raise self._stop(answer)
        if answer.status != 304 and "json" not in answer.headers.get("content-type", ""):
            raise Failed(f"What answers at {self._where} is not the REST API of postcommit.")
        return answer

    def _once(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout_s: float
    ) -> HTTPResponse:
        try:
            if self._connection.sock is None:
                self._connection.timeout = PATIENCE_S
                self._connection.connect()
        except OSError as error:
            raise self._lost(error) from error
        self._connection.sock.settimeout(timeout_s)
        own = {"Authorization": f"Bearer {self._key}", "User-Agent": "postcommit"}
        self._connection.request(method, self._base + path, body, {**own, **headers})
        return self._connection.getresponse()

    def _lost(self, error: Exception) -> Away:
        words = (getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip(".")
        return Away(f"The REST API at {self._where} does not answer: {words}.")

    def _stop(self, answer: Answer) -> Stop:
        """What a problem document (RFC 9457) says, as sentences."""
        kind = STOPS.get(answer.status, Failed)
        try:
            told = answer.json()
            details = [one["detail"] for one in told.get("errors", ())]
            lines = [told["detail"], *(details if len(details) > 1 else ())]
        except (ValueError, KeyError, TypeError, AttributeError):
            return kind(f"The REST API at {self._where} answered with {answer.status}, and did not say why.")
        return kind("\n".join(printable(line) for line in lines))


def printable(text: object) -> str:
    """Words of others as a terminal may show them: nothing in them is a command to it."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(text))


def _query(pairs: Query) -> str:
    given = [(name, value) for name, value in pairs if value is not None]
    return f"?{urlencode(given)}" if given else ""


def _headers(response: HTTPResponse) -> Mapping[str, str]:
    return {name.lower(): value for name, value in response.getheaders()}
