"""A drill's verdict as a page: python -m infra.drill.report verdict.json > docs/drill/NAME.md"""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

APART = (
    "tasks_by_kind",
    "faults_by_kind",
    "duplicates_by_fault",
    "answers_by_status",
    "recovery_s",
    "peaks",
    "answered",
)


def page(told: Mapping[str, Any]) -> str:
    """Markdown."""
    figures, said = told["figures"], "nothing is wrong" if told["good"] else "NOT GOOD"
    recovery = figures["recovery_s"]
    return "\n".join(
        [
            f"# A drill of {told['minutes']:g} minutes, seed {told['seed']}: {said}",
            "",
            f"`{told['command']}`, {told['begun']} to {told['ended']}. What the names mean: [drill.md](../drill.md).",
            "",
            *_table("of the run", {name: value for name, value in figures.items() if name not in APART}),
            *_table("recovery, in seconds", {name: recovery[name] for name in ("p50", "p99", "max")}),
            *_table("the same, if a task that waits for others moves with them", recovery["with_its_needs"]),
            *_table("what must not be", {name: len(found) for name, found in told["wrong"].items()}),
            *(f"- {name}: {one}" for name, found in told["wrong"].items() for one in found),
            *_table("tasks", figures["tasks_by_kind"]),
            *_table("faults", figures["faults_by_kind"]),
            *_table("the slowest recovery after each fault, in seconds", recovery["worst_by_fault"]),
            *_table("skipped", dict.fromkeys(told["skipped"], "not here")),
            *_table("a mail or a notice came again, explained by", figures["duplicates_by_fault"]),
            *_table("HTTP status", figures["answers_by_status"]),
            *_table("answers to intents", figures["answered"]),
            *_table("the most of", figures["peaks"]),
            *_table("the machine", told["machine"]),
            *_table("versions", told["versions"]),
            "The slowest recoveries:",
            "",
            *(f"- {one}" for one in recovery["slowest"]),
        ]
    )


def _table(head: str, rows: Mapping[str, Any]) -> Iterable[str]:
    if rows:
        yield from (
            f"| {head} | |",
            "|---|---|",
            *(f"| {name} | {_shown(value)} |" for name, value in rows.items()),
            "",
        )


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return f"{value:.6f}" if isinstance(value, float) and 0 < value < 0.01 else str(value)


if __name__ == "__main__":
    print(page(json.loads(Path(sys.argv[1]).read_text())))
