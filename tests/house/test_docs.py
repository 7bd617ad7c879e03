"""Is what the documents say there?"""

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from infra.accounts import rights
from infra.app import WORKERS
from infra.settings import OF_TESTS, Settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\((?!http)([^)]+)\)", page.read_text()):
        path, _, heading = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), f"{page.name} links to {path}, which is not there."
        assert not heading or heading in headings(file), f"{page.name} links to {target}, which has no such heading."


def headings(page):
    """As links name them."""
    lines = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in lines}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_that_is_named_exists(page):
    known = {f"POSTCOMMIT_{field.name.upper()}" for field in fields(Settings)} | {"POSTCOMMIT_CONFIG"}
    named = set(re.findall(r"\bPOSTCOMMIT_[A-Z_]*[A-Z]\b", page.read_text()))
    assert {name for name in named if not name.startswith(OF_TESTS)} <= known


def test_every_test_that_the_readme_names_exists():
    named = re.findall(r"`(tests/[\w/.]+?)(?:::(\w+))?`", (ROOT / "README.md").read_text())
    for path, name in named:
        assert (ROOT / path).exists(), f"The README names {path}, which is not there."
        assert not name or f"def {name}(" in (ROOT / path).read_text(), f"{path} has no test {name}."


def test_every_command_that_is_documented_answers():
    code = [code for page in PAGES for code in re.findall(r"```.*?```|`[^`]+`", page.read_text(), re.DOTALL)]
    lines = re.findall(r"\bpostcommit ([a-z]+(?: \| [a-z]+)*)", "\n".join(code))
    named = {command for line in lines for command in line.split(" | ")}
    assert named >= {"up", "api", "relay", "worker", "reader", "check", "config", "migrate"}
    for command in sorted(named):
        answer = subprocess.run(
            [sys.executable, "-m", "infra.cli", command, "--help"], capture_output=True, text=True, timeout=30
        )
        assert answer.returncode == 0, answer.stderr


def test_every_make_target_of_the_readme_exists():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"`?make ([a-z-]+)`?", (ROOT / "README.md").read_text())
    assert set(named) <= set(targets)


@pytest.mark.parametrize("role", ["api", "relay", "worker", "reader"])
def test_what_each_role_needs_of_nats_is_told_as_the_embedded_server_has_it(role):
    [row] = re.findall(rf"^\| `{role}` \|(.*)\|(.*)\|$", (ROOT / "docs/operating.md").read_text(), re.MULTILINE)
    publish, _, subscribe = rights(("QUEUE",))[role]
    assert [set(re.findall(r"`([^`]+)`", cell)) for cell in row] == [set(publish), set(subscribe)]


def test_no_two_kinds_of_the_app_have_one_name():
    names = [kind.name for kind, _ in WORKERS]
    assert len(set(names)) == len(names)
