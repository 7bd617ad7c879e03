"""The JSON Schemas of the events as they were published: what is here once stays, version by version."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from domain.catalogue import version_of

FOLDER = Path(__file__).parent / "schemas"  # <category>.<event>/<version>.json


@cache
def schemas() -> Mapping[tuple[str, int], Mapping[str, Any]]:
    """Every schema, by name and version, in this order."""
    files = {(path.parent.name, int(path.stem)): path for path in FOLDER.glob("*/*.json")}
    return {key: json.loads(files[key].read_text()) for key in sorted(files)}


def is_current(name: str, version: int) -> bool:
    """Whether the event is written in this version today."""
    return version == version_of(name)
