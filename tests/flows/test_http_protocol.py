"""What is said to bytes that are no request, or too large a one? Spoken to a real server, byte by byte."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from email.parser import BytesParser

import pytest

from adapters.http.protocol import LINGER_S, MOST_ADDRESS, MOST_HEAD
from infra.embedded.home import free_port
from tests.flows.test_http_role import ROOT

END = b"\r\n\r\n"
CHUNKED = b"POST /v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked" + END
POST = b"POST /v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
ENDLESS = MOST_ADDRESS + MOST_HEAD + 1

RAW: list[tuple[str, bytes, int, str]] = [
    ("a method of nobody", b"FOO /livez HTTP/1.1\r\nHost: x" + END, 400, "bad-request"),
    ("NUL in the path", b"GET /liv\0ez HTTP/1.1\r\nHost: x" + END, 400, "bad-request"),
    ("no ASCII in the path", "GET /lïvez HTTP/1.1\r\nHost: x".encode() + END, 400, "bad-request"),
    ("garbage", b"\x16\x03\x01 hello" + END, 400, "bad-request"),
    ("a head of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad-request"),
    ("a bad size of a chunk", CHUNKED + b"zz\r\n{}\r\n", 400, "bad-request"),
    ("two lengths", POST + b"Content-Length: 3" + END + b"{}", 400, "bad-request"),
    ("a length and chunks", POST + b"Transfer-Encoding: chunked" + END + b"2\r\n{}\r\n0" + END, 400, "bad-request"),
    ("a header without a colon", b"GET /livez HTTP/1.1\r\nHost x" + END, 400, "bad-request"),
    ("a long address", b"GET /livez?" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: x" + END, 414, "address-too-long"),
    ("an endless address", b"GET /" + b"x" * 20 * ENDLESS, 414, "address-too-long"),
    ("too many headers", b"GET /livez HTTP/1.1\r\n" + b"X: y\r\n" * 101 + b"\r\n", 431, "head-too-large"),
    ("a large header", b"GET /livez HTTP/1.1\r\nX: " + b"y" * MOST_HEAD + END, 431, "head-too-large"),
    ("an endless header", b"GET /livez HTTP/1.1\r\nX: " + b"y" * 20 * ENDLESS, 431, "head-too-large"),
]
TAKEN = [
    b"GET /livez?" + b"x" * (MOST_ADDRESS - 100) + b" HTTP/1.1\r\nHost: x" + END,
    b"GET /livez HTTP/1.1\r\n" + b"X: y\r\n" * 99 + b"\r\n",
    b"GET /livez HTTP/1.1\r\nX: " + b"y" * (MOST_HEAD - 100) + END,
    b"\r\n\r\nGET /livez HTTP/1.1\r\nHost: x" + END,
]


@pytest.fixture(scope="module")
def port(dsn: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of the API, a process of its own. Whatever it is told, it writes no traceback of it."""
    log = tmp_path_factory.mktemp("protocol") / "api.log"
    port = free_port()
    settings = {"POSTCOMMIT_POSTGRES": dsn("postcommit"), "POSTCOMMIT_PORT": str(port)}
    with log.open("wb") as said:
        argv = [sys.executable, "-m", "infra.cli", "api"]
        process = subprocess.Popen(argv, cwd=ROOT, env=os.environ | settings, stdout=said, stderr=said)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                told(talk(port, b"GET /livez HTTP/1.0" + END))
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in log.read_text() and '"exception"' not in log.read_text()


def talk(port: int, *parts: bytes) -> bytes:
    """Everything that is answered until the server closes the connection; each part waits for a word to the last."""
    heard = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for number, part in enumerate(parts):
            heard += connection.recv(65_536) if number else b""
            connection.sendall(part)
        while more := connection.recv(65_536):
            heard += more
    return heard


def told(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = answer.partition(END)
    line, _, headers = head.partition(b"\r\n")
    return int(line.split()[1]), {k.lower(): v for k, v in BytesParser().parsebytes(headers).items()}, body


@pytest.mark.parametrize(("raw", "status", "slug"), [row[1:] for row in RAW], ids=[row[0] for row in RAW])
def test_what_is_no_request_is_told_as_a_problem(port: int, raw: bytes, status: int, slug: str) -> None:
    for parts in ([raw], [b"GET /livez HTTP/1.1\r\nHost: x" + END, raw]):
        answer = talk(port, *parts)[-2_000:]
        code, headers, body = told(answer[answer.rindex(b"HTTP/1.1 4") :])
        assert (code, headers["content-type"]) == (status, "application/problem+json")
        assert (headers["connection"], headers["content-length"]) == ("close", str(len(body)))
        problem = json.loads(body)
        assert problem.keys() == {"type", "title", "status", "detail", "request_id"}
        assert (problem["type"], problem["status"]) == (f"/problems/{slug}", status)
        assert problem["request_id"] == headers["x-request-id"]


@pytest.mark.parametrize("raw", TAKEN, ids=["address", "headers", "header", "empty lines"])
def test_what_just_fits_is_taken(port: int, raw: bytes) -> None:
    parts = raw.removesuffix(END) + b"\r\nConnection: close" + END
    assert told(talk(port, parts))[0] == 200


def test_what_comes_behind_the_body_is_no_header(port: int) -> None:
    head = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked"
    status, headers, _ = told(talk(port, head + END + b"0\r\nX-Request-ID: late" + END))
    assert (status, headers["x-request-id"] == "late") == (200, False)


def test_a_refusal_is_never_taken_for_the_answer_to_an_earlier_request(port: int) -> None:
    assert talk(port, b"GET /readyz HTTP/1.1\r\nHost: x" + END + b"\x16\x03\x01" + END) == b""


@pytest.mark.parametrize(
    "head",
    [
        b"POST /v1/tasks HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 8000000" + END,
        b"POST /v1/tasks HTTP/1.0\r\nContent-Length: 8000000" + END,
    ],
    ids=["HTTP/1.1", "HTTP/1.0"],
)
def test_who_is_refused_while_he_still_sends_hears_why(port: int, head: bytes) -> None:
    for _ in range(5):
        status, _, body = told(talk(port, head + bytes(8_000_000)))
        assert (status, json.loads(body)["type"]) == (401, "/problems/unauthorized")


@pytest.mark.parametrize(
    "raw",
    [
        b"POST /v1/tasks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked" + END + b"zz\r\n" + bytes(200_000),
        b"GET /readyz HTTP/1.1\r\nHost: x" + END + b"\x16\x03\x01" + bytes(200_000),
    ],
    ids=["a bad chunk", "garbage behind a request"],
)
def test_an_answer_that_comes_too_late_is_dropped(port: int, raw: bytes) -> None:
    for _ in range(5):
        assert talk(port, raw)[:12] in (b"HTTP/1.1 400", b"")


def test_who_never_ends_is_not_heard_for_ever(port: int) -> None:
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"POST /v1/tasks HTTP/1.0\r\nContent-Length: 800000000" + END)
        with pytest.raises(OSError):
            while time.monotonic() < begin + 10:
                connection.sendall(bytes(1_000))
                time.sleep(0.01)
    assert time.monotonic() < begin + LINGER_S + 3
