"""Is the command line documented whole, quick to answer, and the same for programs tomorrow?"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from cyclopts import App
from jsonschema import Draft202012Validator

from infra import exits
from infra.cli import app
from infra.settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/command-line.md").read_text()
SCHEMA = json.loads((ROOT / "docs/schemas/command-line.json").read_text())
HEAVY = [
    *("litestar", "uvicorn", "sqlalchemy", "asyncpg", "alembic", "nats", "faststream", "httpx", "aiosmtplib"),
    *("structlog", "msgspec"),
]


def commands(program: App = app, path: tuple[str, ...] = ()) -> Iterator[tuple[str, App]]:
    """Every command that does something, by its words."""
    for name in program:
        if name.startswith("-"):
            continue
        command = program[name]
        below = list(commands(command, (*path, name)))
        yield from below or [(" ".join((*path, name)), command)]


COMMANDS = dict(commands())


def flags(command: App) -> dict[str, str]:
    """The options and arguments of a command, with their help."""
    found = command.assemble_argument_collection(parse_docstring=True)
    return {argument.name: argument.parameter.help or "" for argument in found if argument.parameter.show is not False}


def section(command: str) -> str:
    """What the page says of the command: its row in a table."""
    rows = re.findall(rf"^\| `postcommit {command}[` ].*$", PAGE, re.MULTILINE)
    assert len(rows) == 1, f"docs/command-line.md has {len(rows)} rows for `postcommit {command}`."
    return str(rows[0])


def test_there_are_the_commands_that_were_promised() -> None:
    assert {"up", "api", "relay", "worker", "reader", "migrate", "demo", "check", "doctor", "config"} <= set(COMMANDS)
    assert {f"tasks {one}" for one in ("list", "show", "watch", "wait", "retry", "cancel")} <= set(COMMANDS)
    assert {f"events {one}" for one in ("list", "tail", "export")} <= set(COMMANDS)
    assert {f"consumers {one}" for one in ("add", "list", "remove")} <= set(COMMANDS)
    assert {f"keys {one}" for one in ("create", "list", "rotate", "revoke", "import")} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_is_documented(command: str) -> None:
    row = section(command)
    for flag in flags(COMMANDS[command]):
        word = flag if flag.startswith("--") else flag.upper()
        assert re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", row), f"{word} is not in: {row}"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained_by_help(command: str) -> None:
    assert [flag for flag, help in flags(COMMANDS[command]).items() if not help] == []
    assert COMMANDS[command].help


def test_every_setting_is_documented_with_its_default() -> None:
    found = re.findall(r"^\| `POSTCOMMIT_([A-Z_]+)` \|(.*?)\|", PAGE, re.MULTILINE)
    rows = {name: default.strip() for name, default in found}
    assert rows.pop("CONFIG", None) is not None
    assert set(rows) == {field.name.upper() for field in fields(Settings)}
    for field in fields(Settings):
        shown = f"{field.default:g}" if isinstance(field.default, float) else _given(field.default or "")
        assert rows[field.name.upper()] == (f"`{shown}`" if field.default else ""), field.name


def test_every_exit_code_is_documented() -> None:
    known = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)} == known


def test_every_answer_for_programs_has_its_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    speak = {command for command, program in COMMANDS.items() if "--json" in flags(program)} | {"events export"}
    assert speak <= set(SCHEMA["$defs"]), f"docs/schemas/command-line.json lacks {speak - set(SCHEMA['$defs'])}"


@pytest.mark.parametrize("words", ["--help", *(f"{command} --help" for command in COMMANDS)])
def test_help_loads_nothing_heavy(words: str) -> None:
    """The modules that take their time come when a command runs: so the first answer comes within 300 ms."""
    assert loaded(words.split()) == []


def loaded(words: list[str]) -> list[str]:
    """The heavy modules that the program has loaded when it ends."""
    script = (
        "import json, sys, infra.cli\n"
        "try:\n    infra.cli.main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]), file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", script, *words], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0 and "Usage:" in ended.stdout, ended.stderr
    return list(json.loads(ended.stderr.splitlines()[-1]))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_learns_every_command(shell: str) -> None:
    script = completion(shell)
    for word in {word for command in COMMANDS for word in command.split()} | {"--home", "--json", "--scope"}:
        assert word.removeprefix("--") in script, word


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("postcommit ta", {"tasks"}),
        ("postcommit tasks ", {"list", "show", "watch", "wait", "retry", "cancel"}),
        ("postcommit tasks list --un", {"--until"}),
        ("postcommit keys create x --scope ", {"client", "worker", "auditor", "operator"}),
    ],
)
def test_bash_completes(line: str, offered: set[str]) -> None:
    words = line.split(" ")
    told = " ".join(f"'{word}'" for word in words)
    ask = f"{completion('bash')}\nCOMP_WORDS=({told}); COMP_CWORD={len(words) - 1}; _postcommit; echo ${{COMPREPLY[@]}}"
    answer = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, timeout=30)
    assert answer.stderr == "" and set(answer.stdout.split()) >= offered, answer.stdout


def completion(shell: str) -> str:
    answer = subprocess.run(
        [sys.executable, "-m", "infra.cli", "completion", shell], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def _given(value: object) -> str:
    """As the variable has it."""
    return ",".join(value) if isinstance(value, tuple) else str(value)
