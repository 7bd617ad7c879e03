"""Does the command line do what its page says, against a whole running service? Every answer fits its JSON Schema."""

import asyncio
import json
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from tests.acceptance.running import ROOT, Running, balanced, probe, probes, up
from tests.waiting import until, until_told

SCHEMA = json.loads((ROOT / "docs/schemas/command-line.json").read_text())
NOBODY = "01a20495-2e1a-741d-97ea-9f384675989e"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with up(tmp_path_factory.mktemp("service")) as running:
        yield running


def argv(service: Running | None, *words: object) -> list[str]:
    home = ["--home", str(service.home)] if service else []
    return [sys.executable, "-m", "infra.cli", *map(str, words), *home]


def ran(service: Running | None, *words: object, **environ: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    ended = subprocess.run(
        argv(service, *words), cwd=ROOT, env=os.environ | environ, capture_output=True, text=True, timeout=90
    )
    return ended.returncode, ended.stdout, ended.stderr


def read(service: Running, command: str, *words: object, code: int = 0) -> Any:
    """What the command says with --json, which fits the schema of its name."""
    ended, out, said = ran(service, *command.split(), *words, "--json")
    assert ended == code, said
    found = json.loads(out)
    fits(command, found)
    return found


def fits(command: str, found: Any) -> None:
    schema = {"$ref": f"#/$defs/{command}", "$defs": SCHEMA["$defs"]}
    checker = Draft202012Validator.FORMAT_CHECKER
    errors = [error.message for error in Draft202012Validator(schema, format_checker=checker).iter_errors(found)]
    assert errors == []


async def asked(service: Running, *requests: dict[str, Any], key: str = "operator") -> list[str]:
    async with service.client(key) as client:
        return await probes(client, requests)


async def done(service: Running, *words: object, **environ: str) -> tuple[int, str, str]:
    return await asyncio.to_thread(ran, service, *words, **environ)


# Tasks.


async def test_a_list_has_every_filter_of_the_rest_api(service: Running) -> None:
    mine = await asked(service, {"payload": "mine"}, key="client")
    later = await asked(service, {}, {})
    read(service, "tasks wait", *mine, *later)
    oldest = read(service, "tasks show", mine[0])["task"]["created_at"]

    def ids(*words: object) -> list[str]:
        return [task["id"] for task in read(service, "tasks list", *words)["items"]]

    assert ids()[:3] == [later[1], later[0], mine[0]], "newest first"
    assert ids("--by", "client") == mine
    assert ids("--until", oldest) == [] and set(ids("--since", oldest)) >= {*mine, *later}
    assert ids("--status", "failed", "--status", "cancelled") == []
    assert ids("--queue", "email", "--since", oldest) == ids("--kind", "email_welcome") == []
    assert ids("--limit", "2") == [later[1], later[0]]


async def test_a_limit_beyond_one_page_and_all_follow_the_pages(service: Running) -> None:
    await asked(service, *({"payload": number} for number in range(1_000)))
    await asked(service, *({"payload": number} for number in range(10)))
    some = read(service, "tasks list", "--limit", 1_005)
    assert len({task["id"] for task in some["items"]}) == 1_005 and some["next"] is not None
    every = read(service, "tasks list", "--all")
    assert len({task["id"] for task in every["items"]}) >= 1_010 and every["next"] is None

    code, out, said = ran(service, "tasks", "list", "--limit", 1_005)
    assert code == 0 and len(out.splitlines()) == 1_006, "a heading, and a line each"
    assert said == "There are more: see --limit and --all.\n"


async def test_a_task_is_shown_with_its_attempts_and_its_history(service: Running) -> None:
    [id] = await asked(service, {"fail_first": 1, "payload": "shown"})
    read(service, "tasks wait", id)
    told = read(service, "tasks show", id)
    assert told["task"]["result"] == {"payload": "shown", "attempt": 2}
    assert [one["outcome"] for one in told["attempts"]] == ["stumbled", "complete"]
    assert [one["name"] for one in told["history"]][:3] == ["task.queued", "task.started", "task.stumbled"]

    code, out, _ = ran(service, "tasks", "show", id)
    assert code == 0
    for words in (id, "probe_stumbled", "task.completed", "operator"):
        assert words in out


async def test_how_tasks_ended_is_the_exit_code_of_wait(service: Running) -> None:
    good, bad, slow = await asked(service, {}, {"refuse": True}, {"work_s": 600})
    assert ran(service, "tasks", "wait", good)[0] == 0
    assert read(service, "tasks wait", good, bad, code=10)["items"][1]["error"]["type"] == "probe_refused"

    begin = time.monotonic()
    code, out, said = ran(service, "tasks", "wait", good, slow, "--timeout", "1")
    assert (code, said) == (124, "The time of 1 s is over.\n") and time.monotonic() - begin < 5
    assert [line.split()[0] for line in out.splitlines()] == [good, slow]

    assert read(service, "tasks cancel", slow, "--reason", "it is late")["id"] == slow
    assert read(service, "tasks wait", slow, code=11)["items"][0]["status"] == "cancelled"
    history = read(service, "tasks show", slow)["history"]
    assert {"by": "operator", "reason": "it is late"} in [one["data"] for one in history]
    assert ran(service, "tasks", "wait", slow, bad)[0] == 10, "failed is worse than cancelled"


async def test_watch_goes_on_though_the_api_is_killed(service: Running) -> None:
    [id] = await asked(service, {"work_s": 3})
    with running(service, "tasks", "watch", id) as (process, file):
        await until(lambda: bool(file.read_text()), 20)
        await service.killed("api")
        assert await asyncio.to_thread(process.wait, 60) == 0
    assert file.read_text().splitlines()[-1].split("  ")[:3] == [id, "probe", "complete"]


@contextmanager
def running(service: Running, *words: object) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """The command in the background, and the file that it writes to."""
    file = service.home / f"out-{time.monotonic_ns()}"
    with file.open("w") as out, (service.home / "said").open("w") as said:
        process = subprocess.Popen(argv(service, *words), cwd=ROOT, stdout=out, stderr=said, text=True)
        try:
            yield process, file
        finally:
            process.terminate()
            process.wait(30)


async def test_watch_without_a_terminal_tells_every_change_on_a_line(service: Running) -> None:
    slow, quick = await asked(service, {"work_s": 1}, {})
    code, out, said = await done(service, "tasks", "watch", slow, quick)
    assert (code, said) == (0, "")
    lines = [line.split("  ") for line in out.splitlines()]
    assert {line[0] for line in lines} == {slow, quick}
    assert [line[2] for line in lines if line[0] == slow][-1] == "complete"
    assert len([line for line in lines if line[0] == slow]) >= 3, "progress is told, too"
    assert len(read(service, "tasks watch", slow, quick)["items"]) == 2


async def test_watch_on_a_terminal_draws_bars_on_stderr_alone(service: Running) -> None:
    [id] = await asked(service, {"work_s": 1})
    code, out, drawn = await asyncio.to_thread(on_terminal, argv(service, "tasks", "watch", id))
    assert (code, out) == (0, "")
    assert "━" in drawn and "complete" in drawn and "\x1b[" in drawn


def on_terminal(words: Sequence[str]) -> tuple[int, str, str]:
    """The same, where stderr is a terminal."""
    ours, theirs = pty.openpty()
    environ = os.environ | {"TERM": "xterm-256color", "COLUMNS": "200"}
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(words, cwd=ROOT, env=environ, stdout=out, stderr=theirs)
        os.close(theirs)
        drawn = b""
        while select.select([ours], [], [], 60)[0]:
            try:
                drawn += os.read(ours, 65_536)
            except OSError:  # nobody holds the other end any more
                break
        os.close(ours)
        code = process.wait(60)
        out.seek(0)
        return code, out.read(), drawn.decode()


async def test_what_failed_is_retried_once_as_another_task(service: Running) -> None:
    [id] = await asked(service, {"refuse": True})
    read(service, "tasks wait", id, code=10)
    code, out, _ = ran(service, "tasks", "retry", id)
    assert code == 0 and read(service, "tasks show", id)["task"]["retried_as"] == out.strip()
    code, out, said = ran(service, "tasks", "retry", id)
    assert (code, out) == (5, "") and "was retried already, as" in said
    [other] = await asked(service, {"refuse": True})
    read(service, "tasks wait", other, code=10)
    assert read(service, "tasks retry", other)["retry_of"] == other


REFUSALS: list[tuple[list[str], int, str]] = [
    (["tasks", "show", NOBODY], 3, f"There is no task {NOBODY}."),
    (["tasks", "wait", NOBODY], 3, f"There is no task {NOBODY}."),
    (["tasks", "watch", NOBODY], 3, f"There is no task {NOBODY}."),
    (["tasks", "retry", NOBODY], 3, f"There is no task {NOBODY}."),
    (["tasks", "cancel", NOBODY], 3, f"There is no task {NOBODY}."),
    (["tasks", "show", "nonsense"], 2, "nonsense"),
    (["tasks", "wait"], 2, "ID"),
    (["tasks", "list", "--since", "noon"], 2, "The parameter since is wrong: Expected a time as in RFC 3339"),
    (["tasks", "list", "--status", "odd"], 2, "The parameter status is wrong: Expected one of"),
    (["tasks", "list", "--limit", "0"], 2, "limit"),
    (["events", "list", "--after", "-1"], 2, "after"),
    (["events", "export", "--until", "999999999"], 3, "There is no position 999999999: the log ends at"),
    (["events", "tail", "--after", "999999999"], 5, "It ends at"),
]


@pytest.mark.parametrize(("words", "code", "sentence"), REFUSALS, ids=lambda value: str(value)[:60])
async def test_what_cannot_be_is_told_in_a_sentence(
    service: Running, words: list[str], code: int, sentence: str
) -> None:
    ended, out, said = ran(service, *words)
    assert (ended, out) == (code, ""), said
    assert sentence in said


async def test_a_key_may_what_its_scope_may(service: Running) -> None:
    told = service.told
    where = {"POSTCOMMIT_URL": told["http"], "POSTCOMMIT_KEY": told["keys"]["worker"]}
    assert ran(None, "tasks", "list", "--limit", "1", **where)[0] == 0
    code, out, said = ran(None, "events", "list", **where)
    assert (code, out) == (4, "") and "has the scope worker, which may not read the log" in said
    code, _, said = ran(None, "tasks", "list", **where | {"POSTCOMMIT_KEY": "wrong"})
    assert (code, said) == (4, "This key is unknown, or was revoked.\n")
    code, _, said = ran(None, "tasks", "list", **where | {"POSTCOMMIT_KEY": ""})
    assert (code, said) == (78, "There is no key for the REST API: give --home, or set POSTCOMMIT_KEY.\n")
    code, _, said = ran(None, "tasks", "list", **where | {"POSTCOMMIT_URL": "http://127.0.0.1:1"})
    assert (code, said) == (75, "The REST API at http://127.0.0.1:1 does not answer: Connection refused.\n")


# Events.


async def test_events_are_listed_by_position(service: Running) -> None:
    told = read(service, "events list", "--after", "2", "--limit", "3")
    assert [item["position"] for item in told["items"]] == [3, 4, 5] and told["head"] >= 5
    code, out, said = ran(service, "events", "list", "--limit", "2")
    assert code == 0 and len(out.splitlines()) == 3 and f"in the epoch {told['epoch']}" in said


async def test_an_export_is_the_log_up_to_its_end(service: Running) -> None:
    await asked(service, *({"payload": "line\nbreak \u2028"} for _ in range(500)))
    head = await quiet(service)
    code, out, said = ran(service, "events", "export")
    facts = [json.loads(line) for line in out.split("\n")[:-1]]
    assert code == 0 and [fact["position"] for fact in facts] == list(range(1, head + 1)) and head > 1_000
    assert said == f"{head} facts, up to the position {head}.\n"
    for fact in facts[:: max(1, head // 200)]:
        fits("events export", fact)
    page = read(service, "events list", "--limit", head)
    assert page["items"] == facts

    _, out, said = ran(service, "events", "export", "--after", "5", "--until", "9")
    assert [json.loads(line)["position"] for line in out.splitlines()] == [6, 7, 8, 9]


async def quiet(service: Running) -> int:
    """The log's end, once nothing is open and every fact has its number."""
    async with service.client() as client:
        await balanced(client, 60)
        await service.sound()
        return int((await client.get("/v1/events")).json()["head"])


async def test_an_export_shows_its_progress_on_a_terminal(service: Running) -> None:
    head = await quiet(service)
    code, out, drawn = await asyncio.to_thread(on_terminal, argv(service, "events", "export"))
    assert code == 0 and out.count("\n") == head
    assert f"{head} of {head}" in drawn


def test_who_stops_reading_ends_an_export_in_silence(service: Running) -> None:
    process = subprocess.Popen(
        argv(service, "events", "export"), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert (process.wait(30), process.stderr.read()) == (141, "")
    process.stderr.close()


async def test_a_tail_misses_nothing_though_the_api_is_killed(service: Running) -> None:
    head = await quiet(service)
    with running(service, "events", "tail", "--after", head, "--json") as (_, file):
        await asked(service, {}, {})
        await until(lambda: len(file.read_text().splitlines()) >= 6, 30)
        await service.killed("api")
        async with service.client() as client:
            await until_told(lambda: some(client), 30, (httpx.HTTPError,))
        now = await quiet(service)
        await until(lambda: len(file.read_text().splitlines()) >= now - head, 30)
        facts = [json.loads(line) for line in file.read_text().splitlines()]
    assert [fact["position"] for fact in facts] == list(range(head + 1, now + 1)), "in order, none missing, none twice"
    for fact in facts:
        fits("events tail", fact)
    assert "it is made again" in (service.home / "said").read_text()


async def some(client: httpx.AsyncClient) -> str:
    return await probe(client)


async def test_a_tail_for_people_has_a_line_for_each_fact(service: Running) -> None:
    with running(service, "events", "tail", "--after", "0") as (_, file):
        await until(lambda: len(file.read_text().splitlines()) >= 3, 30)
        first = file.read_text().splitlines()[0]
    assert re.fullmatch(r"1  \S+Z  key\.issued  key-[0-9a-f-]{36}  cli/\w+", first), first


# Keys, and the rest.


async def test_a_key_lives_and_ends_and_the_audit_knows_it(service: Running) -> None:
    first = read(service, "keys create", "nightly", "--scope", "auditor")["secret"]
    async with httpx.AsyncClient(base_url=service.told["http"], trust_env=False) as client:

        async def status(secret: str) -> int:
            answer = await client.get("/v1/balance", headers={"Authorization": f"Bearer {secret}"})
            return answer.status_code

        assert await status(first) == 200
        code, out, said = ran(service, "keys", "rotate", "nightly", "--grace-s", "3600")
        second = out.strip()
        assert code == 0 and second != first and said.startswith("This is the secret of the key nightly")
        assert [await status(first), await status(second)] == [200, 200]
        assert ran(service, "keys", "revoke", "nightly")[0] == 0

        async def ended() -> bool:
            return [await status(first), await status(second)] == [401, 401]

        await until_told(ended, 15)
    [listed] = [key for key in read(service, "keys list")["items"] if key["name"] == "nightly"]
    assert listed["revoked_at"] is not None and first not in ran(service, "keys", "list")[1]

    async with service.client("auditor") as client:
        lines = (await client.get("/v1/audit", params={"limit": 1000, "after": 0})).json()["items"]
        actions: list[str] = []

        async def told() -> bool:
            head = (await client.get("/v1/events")).json()["head"]
            found = (await client.get("/v1/audit", params={"limit": 1000, "after": max(0, head - 900)})).json()["items"]
            actions[:] = [line["action"] for line in found if line["actor"].startswith("cli/")]
            return actions[-3:] == ["key.issued", "key.rotated", "key.revoked"]

        await until_told(told, 20)
    assert lines[0]["action"] == "key.issued", "the embedded mode's own keys are on record, too"
    read(service, "keys rotate", "worker")
    assert ran(service, "keys", "rotate", "nobody")[0] == 3
    assert ran(service, "keys", "create", "client", "--scope", "client")[0] == 5
    assert ran(service, "keys", "create", "a.b", "--scope", "client")[0] == 2


def test_the_doctor_finds_a_running_service_well(service: Running) -> None:
    told = read(service, "doctor")
    names = [one["name"] for one in told["findings"]]
    assert told["healthy"] and [one for one in told["findings"] if one["state"] == "failed"] == []
    assert {"postgres", "schema", "safety", "rights", "clock", "relay", "outbox", "cursors", "balance"} <= set(names)
    assert {"nats", "stream", "sync_interval", "mail", "api", "disk", "python", "settings"} <= set(names)


async def test_the_doctor_says_what_to_do_while_nats_is_away(service: Running) -> None:
    async with service.without_nats():
        told = read(service, "doctor", code=1)
    [ill] = [one for one in told["findings"] if one["state"] == "failed"]
    assert not told["healthy"] and ill["name"] == "nats" and "work goes on by polling" in ill["advice"]


async def test_the_doctor_names_a_relay_and_readers_that_stand_still(service: Running) -> None:
    with service.frozen(service.pids("relay")[0]), service.frozen(service.pids("reader")[0]):
        await asked(service, {})

        async def silent() -> bool:
            found = await asyncio.to_thread(read_doctor, service)
            return {"relay", "outbox"} <= found

        await until_told(silent, 60)


def read_doctor(service: Running) -> set[str]:
    """The names of what has failed."""
    _, out, _ = ran(service, "doctor", "--json")
    return {one["name"] for one in json.loads(out)["findings"] if one["state"] == "failed"}


def test_check_and_config_fit_their_schemas_too(service: Running) -> None:
    fits("check", json.loads(ran(service, "check", "--json")[1]))
    fits("config", json.loads(ran(None, "config", "--json", POSTCOMMIT_KEY="hunter2")[1]))
