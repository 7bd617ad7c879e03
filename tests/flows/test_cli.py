"""Does the command line say what is wrong in one clear sentence, without a secret, and end with the right code?"""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from infra.commands.keyfile import parse
from infra.exits import AWAY, REFUSED, Refused

ROOT = Path(__file__).parents[2]
NOBODY = "127.0.0.1:1"
POSTGRES = "The setting postgres should begin with postgresql:// or postgres:// and name a host, and it is 'garbage'."
COMMANDS = ("api", "relay", "worker", "reader", "check", "migrate")
FAILED = "[Errno 111] Connect call failed ('127.0.0.1', 1)"


def ran(*arguments: str, given: str = "", **environ: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `postcommit`."""
    variables = {f"POSTCOMMIT_{name.upper()}": value for name, value in environ.items()}
    ended = subprocess.run(
        [sys.executable, "-m", "infra.cli", *arguments],
        env=os.environ | variables,
        cwd=ROOT,
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return ended.returncode, ended.stdout, ended.stderr


def test_the_version_is_the_packages() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert ran("--version") == (0, f"{wanted}\n", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_an_address_that_is_none_is_refused(command: str) -> None:
    assert ran(command, postgres="garbage") == (REFUSED, "", f"{POSTGRES}\n")


def test_an_unknown_setting_is_told() -> None:
    code, out, said = ran("config", nope="1")
    assert (code, said) == (0, "The environment has unknown settings, which change nothing: POSTCOMMIT_NOPE.\n")
    assert "lease_s" in out


@pytest.mark.parametrize("host", ["nonsense", "a..b", "1.2.3.4.5"])
def test_a_host_that_is_none_is_refused(host: str) -> None:
    code, out, said = ran("api", host=host, port="0")
    assert (code, out) == (REFUSED, "")
    words = f"The setting host should be an address or a name of this machine, and it is '{host}': "
    assert said.startswith(words) and said.endswith(".\n") and "Unknown error" not in said, said


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--port", "99999"], "The port should be from 0 to 65535, and it is 99999."),
        (["--port", "-1"], "The port should be from 0 to 65535, and it is -1."),
        (["--port", "99999", "--detach"], "The port should be from 0 to 65535, and it is 99999."),
        (["--workers", "-1"], "The number of workers should be 0 or more, and it is -1."),
        (["--relays", "-2"], "The number of relays should be 0 or more, and it is -2."),
    ],
)
def test_impossible_options_of_up_are_refused(tmp_path: Path, options: list[str], sentence: str) -> None:
    home = tmp_path / "home"
    assert ran("up", "--home", str(home), *options) == (REFUSED, "", f"{sentence}\n")
    assert not home.exists(), "nothing was made"


@pytest.mark.parametrize("options", [[], ["--detach"]])
def test_a_home_that_is_a_file_is_refused(tmp_path: Path, options: list[str]) -> None:
    home = tmp_path / "home"
    home.touch()
    said = f"The directory {home} cannot be used: Not a directory.\n"
    assert ran("up", "--home", str(home), "--port", "0", *options) == (REFUSED, "", said)


@pytest.mark.parametrize("command", ["check", "migrate", "keys import", "readers list", "readers rebuild audit"])
def test_a_postgres_that_is_away_is_no_broken_invariant(command: str) -> None:
    said = f"Postgres at postgresql://me:***@{NOBODY}/x does not answer: {FAILED}.\n"
    given = '{"client": "secret"}'
    told = ran(*command.split(), given=given, postgres=f"postgresql://me:hunter2@{NOBODY}/x")
    assert told == (AWAY, "", said)


def test_check_says_where_nothing_runs(tmp_path: Path) -> None:
    said = f"Nothing runs on {tmp_path}: there is no {tmp_path / 'run.json'}.\n"
    assert ran("check", "--home", str(tmp_path)) == (REFUSED, "", said)


KEYS: list[tuple[str, str]] = [
    ("", 'should be a JSON object {"name": "secret"}, and it is empty'),
    ("{", "and it is not JSON"),
    ("[]", "and they are a list"),
    ("{}", "and they are an empty object"),
    ('"hunter2"', "and they are a text"),
    ('{"nope": "hunter2"}', "There is no scope 'nope' for a key; there are client, worker, auditor, operator."),
    ('{"client": 1}', "The secret of the key client should be a text, and it is a number."),
    ('{"client": ""}', "The secret of the key client should be printable ASCII"),
    ('{"client": "hunter2\\ud800"}', "The secret of the key client should be printable ASCII"),
    ('{"client": "fine", "worker": null}', "The secret of the key worker should be a text, and it is null."),
]


@pytest.mark.parametrize(("given", "words"), KEYS)
def test_keys_that_are_none_are_refused_and_not_shown(given: str, words: str) -> None:
    with pytest.raises(Refused) as refusal:
        parse(given.encode())
    assert words in str(refusal.value) and "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("given", ["", '{"nope": "hunter2"}'])
def test_the_command_refuses_such_keys_in_one_sentence(given: str) -> None:
    code, out, said = ran("keys", "import", given=given)
    assert (code, out, said.count("\n"), "hunter2" in said) == (REFUSED, "", 1, False)


def test_keys_are_taken_as_they_are() -> None:
    keys: dict[str, Any] = {"client": "pc_client_x", "operator": "y"}
    assert parse(json.dumps(keys).encode()) == keys
