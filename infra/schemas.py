"""`make schemas`: publishes the JSON Schema of every event's newest version. What was published is kept as it is, or
gains optional fields; anything else needs a new version of the event, with an upcaster."""

import json
import sys
from pathlib import Path

from adapters.http.published import FOLDER
from domain import catalogue, schema
from infra.exits import REFUSED


def publish(folder: Path = FOLDER) -> tuple[list[str], list[str]]:
    """Write what is new; answers with the files written, and with what would break those who read the old ones."""
    written: list[str] = []
    broken: list[str] = []
    for name in catalogue.TYPES:
        path = file_of(name, folder)
        text = json.dumps(schema.of_event(name), indent=2, ensure_ascii=False) + "\n"
        if path.exists():
            wrong = schema.breaks(json.loads(path.read_text()), json.loads(text))
            broken += [f"{path.parent.name}/{path.name}: {one}." for one in wrong]
            if wrong or path.read_text() == text:
                continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        written.append(str(path.relative_to(folder)))
    return written, broken


def file_of(name: str, folder: Path = FOLDER) -> Path:
    """Where the schema of the event's newest version is published."""
    return folder / name / f"{catalogue.version_of(name)}.json"


def main() -> int:
    written, broken = publish()
    for one in written:
        print(one)
    for one in broken:
        print(f"{one} Give the event a new version.", file=sys.stderr)
    return REFUSED if broken else 0


if __name__ == "__main__":
    sys.exit(main())
