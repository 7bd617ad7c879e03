"""What does the command line make of an API that answers oddly, breaks off, or lies? A scripted server over HTTP."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from infra.commands import follow
from infra.commands.api import Api, printable
from infra.commands.export import facts
from infra.commands.tail import Line, frames, tail
from infra.exits import Away, Conflicting, Failed, Misused, NotAllowed, NotFound, Stop

Reply = tuple[int, dict[str, str], bytes] | None  # None: the connection breaks off


class Scripted:
    """Answers with the replies in turn, the last of them for ever, and keeps what it was asked."""

    def __init__(self, replies: Sequence[Reply]) -> None:
        self.replies = list(replies)
        self.asked: list[tuple[str, dict[str, str]]] = []

    def next(self, line: str, headers: dict[str, str]) -> Reply:
        self.asked.append((line, headers))
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


@contextmanager
def serving(*replies: Reply) -> Iterator[tuple[Api, Scripted]]:
    script = Scripted(replies)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            reply = script.next(f"{self.command} {self.path}", {k.lower(): v for k, v in self.headers.items()})
            if reply is None:
                self.close_connection = True
                self.connection.close()
                return
            status, headers, body = reply
            self.send_response(status)
            for name, value in ({"content-length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    api = Api(f"http://127.0.0.1:{server.server_port}", "key")
    try:
        yield api, script
    finally:
        api.close()
        server.shutdown()
        server.server_close()


def ok(body: Any, status: int = 200, **headers: str) -> Reply:
    return status, {"content-type": "application/json"} | headers, json.dumps(body).encode()


def problem(status: int, detail: str, *errors: str) -> Reply:
    told = {"detail": detail, "errors": [{"detail": error} for error in errors]}
    return status, {"content-type": "application/problem+json"}, json.dumps(told).encode()


STOPS: list[tuple[int, type[Stop], int]] = [
    *((400, Misused, 2), (422, Misused, 2), (401, NotAllowed, 4), (403, NotAllowed, 4), (404, NotFound, 3)),
    *((410, NotFound, 3), (409, Conflicting, 5), (412, Conflicting, 5), (503, Away, 75), (500, Failed, 1)),
]


@pytest.mark.parametrize(("status", "stop", "code"), STOPS)
def test_a_problem_is_told_in_its_own_words_with_the_code_of_its_status(
    status: int, stop: type[Stop], code: int
) -> None:
    with (
        serving(problem(status, "It is not so.", "The one.", "The other.")) as (api, _),
        pytest.raises(stop) as stopped,
    ):
        api.get("/v1/tasks")
    assert (str(stopped.value), stopped.value.code) == ("It is not so.\nThe one.\nThe other.", code)


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        ((502, {"content-type": "text/html"}, b"<html>"), "answered with 502, and did not say why."),
        ((500, {"content-type": "application/json"}, b"[]"), "answered with 500, and did not say why."),
        ((301, {"location": "http://elsewhere.example/"}, b""), "answered with 301, and did not say why."),
        ((200, {"content-type": "text/html"}, b"<html>"), "is not the REST API of postcommit."),
    ],
)
def test_what_is_no_answer_of_the_api_is_told_as_such(reply: Reply, sentence: str) -> None:
    with serving(reply) as (api, _), pytest.raises(Stop) as stopped:
        api.get("/v1/tasks")
    assert str(stopped.value).endswith(sentence)


def test_a_post_whose_connection_broke_off_is_repeated_under_the_same_key() -> None:
    with serving(None, ok({"id": 1}, 202)) as (api, script):
        assert api.post("/v1/tasks/1/cancel", {}).json() == {"id": 1}
    assert len({headers["idempotency-key"] for _, headers in script.asked}) == 1 and len(script.asked) == 2


def test_a_connection_that_breaks_off_every_time_is_an_api_that_is_away() -> None:
    with serving(None) as (api, script), pytest.raises(Away, match="does not answer"):
        api.get("/v1/tasks")
    assert len(script.asked) == 3


def test_words_of_others_are_no_commands_to_the_terminal() -> None:
    assert printable("\x1b[2J\x07red\r\n\x9b") == "\ufffd[2J\ufffdred\ufffd\ufffd\ufffd"
    with serving(problem(404, "no \x1b]0;title\x07 here")) as (api, _), pytest.raises(NotFound) as stopped:
        api.get("/v1/tasks")
    assert "\x1b" not in str(stopped.value) and "\x07" not in str(stopped.value)


# Waiting.


def task(status: str = "in_progress") -> dict[str, Any]:
    return {"id": "1", "status": status, "finished_at": None if status == "in_progress" else "now"}


def test_wait_survives_an_api_that_is_away_for_a_while() -> None:
    away = problem(503, "The database does not answer.")
    with serving(ok(task()), ok(task()), away, None, None, None, away, ok(task("complete"))) as (api, script):
        assert follow.wait(api, ["1"], 60) == [task("complete")]
    assert len(script.asked) == 8


def test_wait_ends_in_time_though_the_api_is_away() -> None:
    begin = time.monotonic()
    with serving(ok(task()), problem(503, "It is away.")) as (api, _):
        assert follow.wait(api, ["1"], 0.5) == [task()]
    assert time.monotonic() - begin < 5


def test_an_api_that_stays_away_is_given_up() -> None:
    patience, tries = follow.Patience(away_s=0.2), 0

    def question() -> None:
        nonlocal tries
        tries += 1
        raise Away("It is away.")

    with pytest.raises(Away):
        patience.ask(question)
    assert tries > 1


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        (["complete", "complete"], 0),
        (["complete", "cancelled"], 11),
        (["cancelled", "failed", "complete"], 10),
        (["failed", "in_progress"], 124),
    ],
)
def test_the_worst_end_is_the_exit_code(ends: list[str], code: int) -> None:
    assert follow.code([task(end) for end in ends]) == code


# Exports.


def page(*positions: int, head: int = 5, epoch: str = "e1") -> Reply:
    return ok({"items": [{"position": one} for one in positions], "next": None, "epoch": epoch, "head": head})


def exported(*replies: Reply, after: int = 0, until: int | None = None) -> list[int]:
    with serving(*replies) as (api, _):
        parts = list(facts(api, after, until))
    return [json.loads(line)["position"] for part in parts for line in part.lines.splitlines()]


def test_an_export_goes_on_where_a_page_ends_and_no_further_than_the_head_at_its_start() -> None:
    assert exported(page(1, 2), page(3, 4, 5, 6, 7, head=7)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("replies", "sentence"),
    [
        ([page(1, 3)], "after the position 1 comes 3"),
        ([page(2)], "after the position 0 comes 2"),
        ([page(1, 2), page(4, 5)], "after the position 2 comes 4"),
        ([page(1, 1)], "after the position 1 comes 1"),
        ([page(1, 2), page()], "nothing comes after the position 2, and it ends at 5"),
    ],
)
def test_a_gap_in_the_log_ends_an_export_with_1(replies: list[Reply], sentence: str) -> None:
    with pytest.raises(Failed, match=sentence) as stopped:
        exported(*replies)
    assert stopped.value.code == 1


def test_another_epoch_in_the_midst_of_an_export_is_told() -> None:
    with pytest.raises(Conflicting, match="The log's epoch changed from e1 to e2: begin the export anew"):
        exported(page(1, 2), page(3, 4, 5, epoch="e2"))


def test_nothing_is_exported_after_the_head_and_beyond_it_is_refused() -> None:
    assert exported(page(head=5), after=5) == []
    with pytest.raises(NotFound, match="There is no position 6: the log ends at 5"):
        exported(page(1), until=6)
    with pytest.raises(NotFound, match="There is no position 9: the log ends at 5"):
        exported(page(), after=9)


def test_a_fact_with_line_breaks_between_its_tokens_is_one_line() -> None:
    body = b'{"items": [{"position": 1,\r\n "data": {"a":\n1.50}}], "next": null, "epoch": "e1", "head": 1}'
    with serving((200, {"content-type": "application/json"}, body)) as (api, _):
        [_, part] = facts(api, 0, None)
    assert part.lines == b'{"position": 1,   "data": {"a": 1.50}}\n', "numbers stay as they are stored"


# Live.


def live(*frames: str, epoch: str = "e1") -> Reply:
    body = "".join(f"{frame}\n\n" for frame in frames).encode()
    return 200, {"content-type": "text/event-stream", "Postcommit-Epoch": epoch}, body


def test_a_tail_resumes_after_the_last_fact_and_within_its_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    first = live(": epoch e1\nretry: 2000\nid: 7", 'id: 8\ndata: {"position":8}', ": ping")
    second = live("id: 8", 'id: 9\ndata: {"position":9}')
    with serving(first, None, second, problem(409, "Its epoch is e2, not e1: begin anew.")) as (api, script):
        heard = tail(api, None)
        assert [next(heard), next(heard)] == [Line(8, '{"position":8}'), Line(9, '{"position":9}')]
        with pytest.raises(Conflicting, match="Its epoch is e2, not e1"):
            next(heard)
    lines = [line for line, _ in script.asked]
    assert lines[0] == "GET /v1/events/stream" and "last-event-id" not in script.asked[0][1]
    assert [headers.get("last-event-id") for _, headers in script.asked[1:]] == ["8", "8", "9"]
    assert all("epoch=e1" in line for line in lines[1:])
    assert "The connection ended after the position 8; it is made again." in capsys.readouterr().err


def test_a_tail_gives_up_where_the_api_stays_away() -> None:
    with serving(live("id: 0", 'id: 1\ndata: {"position":1}'), problem(503, "It is away.")) as (api, _):
        heard = tail(api, 0, away_s=0.1)
        next(heard)
        with pytest.raises(Away, match="It is away"):
            next(heard)


def test_a_tail_that_was_never_connected_ends_at_once() -> None:
    with serving(problem(503, "It is away.")) as (api, _), pytest.raises(Away):
        next(tail(api, 0))


def test_a_frame_that_broke_off_is_none() -> None:
    lines = [b"id: 1\n", b"data: {}\n", b"\n", b": ping\n", b"\n", b"id: 2\n", b"data: {\n"]
    assert list(frames(lines)) == [(1, "{}"), (None, "")]
