"""What was measured, as text."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench import limits

Told = dict[str, Any]
OURS = "postcommit"
SHOWN = {
    "accept": ("rate", "POST over 32 connections, one API process: tasks/s accepted"),
    "bulk": ("rate", "batches of 1,000: tasks/s accepted"),
    "drain": ("rate", "drain by one worker process: tasks/s"),
    "drain2": ("rate", "drain by two worker processes: tasks/s"),
    "idle": ("p50_ms", "idle, one task every 20 ms: call to handler's start, ms"),
    "open": ("p50_ms", "open loop at 300/s: call to handler's start, ms"),
    "sustained": ("rate", "in and out at once: tasks/s"),
    "replay": ("rate", "read, decode and fold the log, one process: facts/s"),
}
SHARES = (  # of our figure in a limit; a drained task is written twice, and told twice
    ("accept", 1, limits.EMPTY),
    ("accept", 1, limits.COMMITS.format(32)),
    ("bulk", 1, limits.GROUPS),
    ("bulk", 1, limits.UNNEST),
    ("drain", 2, limits.GROUPS),
    ("drain", 2, limits.BATCHES),
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One contender in one part, over all rounds."""

    name: str
    median: float
    least: float
    most: float


def read(file: Path) -> list[Told]:
    """The rows that a run wrote."""
    return [json.loads(line) for line in file.read_text().splitlines()]


def figures(rows: Sequence[Told], part: str) -> list[Figure]:
    """Of every contender, the best first."""
    figure = SHOWN[part][0]
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row["part"] == part and "failed" not in row:
            values[row["name"]].append(row[figure])
    found = [Figure(name, median(some), min(some), max(some)) for name, some in values.items()]
    return sorted(found, key=lambda one: one.median, reverse=figure == "rate")


def line(row: Told) -> str:
    """One measurement, as it is told while others go on."""
    shown = {
        name: value for name, value in row.items() if isinstance(value, float | int) and not isinstance(value, bool)
    }
    told = ", ".join(f"{name} {value:,.2f}" for name, value in shown.items())
    return f"{row['part']}: {row['name']}: {row.get('failed') or told}"


def table(rows: Sequence[Told]) -> str:
    """Every figure: median, least and most of all rounds, and ours as a multiple of it; then the limits of the machine,
    and the settings."""
    lines = [line for part in SHOWN for line in _part(rows, part)]
    return "\n".join([*lines, *_limits(rows), *_settings(rows)])


def _part(rows: Sequence[Told], part: str) -> list[str]:
    found = figures(rows, part)
    if not found:
        return []
    lines = ["", f"## {SHOWN[part][1]}", "", "| | median | min | max | ours : it | p99 ms | CPU ms | lost | repeated |"]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    mine = next((one.median for one in found if one.name == OURS), None)
    for one in found:
        ratio = f"{mine / one.median:.2f}" if mine else ""
        of = [row for row in rows if row["part"] == part and row["name"] == one.name and "failed" not in row]
        rest = [_median(of, key) for key in ("p99_ms", "cpu_ms")]
        rest += [str(sum(row[key] for row in of)) if key in of[0] else "" for key in ("lost", "repeated")]
        lines.append(f"| {' | '.join([one.name, *map(number, (one.median, one.least, one.most)), ratio, *rest])} |")
    failed = [row for row in rows if row["part"] == part and "failed" in row]
    return [*lines, *(f"\n{row['name']} failed: {row['failed']}" for row in failed)]


def _limits(rows: Sequence[Told]) -> list[str]:
    values: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row["part"] == "limits":
            values[row["name"]].append(row["rate"])
    if not values:
        return []
    lines = ["", "## What this machine can do at most", "", "| | median | min | max |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {number(median(of))} | {number(min(of))} | {number(max(of))} |" for name, of in values.items()
    ]
    lines += ["", "| ours | of this limit | share |", "|---|---|---|"]
    for part, times, limit in SHARES:
        mine = next((one.median for one in figures(rows, part) if one.name == OURS), None)
        if mine and limit in values:
            lines.append(f"| {part} | {limit} | {times * mine / median(values[limit]):.2f} |")
    return lines


def _settings(rows: Sequence[Told]) -> list[str]:
    told = {row["name"]: row["setting"] for row in rows if row.get("setting")}
    return ["", "## Settings", "", *(f"- {name}: {setting}" for name, setting in told.items())] if told else []


def _median(rows: Sequence[Told], key: str) -> str:
    values = [row[key] for row in rows if key in row]
    return number(median(values)) if values else ""


def number(value: float) -> str:
    """As people read it."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
