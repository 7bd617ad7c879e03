"""Does the page that tells how to add a kind tell the truth? Its code is run as it stands there."""

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "add-a-kind.md"


def module(name: str, code: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    made = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, made)
    exec(compile(code, name, "exec"), made.__dict__)
    return made.__dict__


async def test_the_greeting_of_the_page_works(monkeypatch: pytest.MonkeyPatch) -> None:
    vocabulary, work, line, test = re.findall(r"```(?:python|text)\n(.*?)```", PAGE.read_text(), re.DOTALL)

    kind = module("domain.greeting", vocabulary, monkeypatch)["KIND"]
    greeting = module("adapters.workers.greeting", work, monkeypatch)["greeting"]
    ((added, make),) = eval(f"[{line.strip()}]", {"GREETING": kind, "greeting": greeting})

    assert (added, make(None), kind.personal) == (kind, greeting, ("name",))
    await module("tests.domain.test_greeting", test, monkeypatch)["test_it_greets_by_name"]()
