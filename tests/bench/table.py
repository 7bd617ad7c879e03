"""What was measured, as text."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import Any

Told = dict[str, Any]
SHOWN = {
    "accept": ("rate", "POST over 32 connections, one API process: tasks/s accepted"),
    "bulk": ("rate", "batches of 1,000: tasks/s accepted"),
    "drain": ("rate", "drain by one worker process: tasks/s"),
    "drain2": ("rate", "drain by two worker processes: tasks/s"),
    "idle": ("p50_ms", "idle, one task every 20 ms: call to handler's start, ms"),
    "open": ("p50_ms", "open loop at 300/s: call to handler's start, ms"),
    "sustained": ("rate", "in and out at once: tasks/s"),
}


def line(row: Told) -> str:
    """One measurement, as it is told while others go on."""
    shown = {
        name: value for name, value in row.items() if isinstance(value, float | int) and not isinstance(value, bool)
    }
    figures = ", ".join(f"{name} {value:,.2f}" for name, value in shown.items())
    return f"{row['part']}: {row['name']} on {row['backend']}: {row.get('failed') or figures}"


def table(rows: Sequence[Told]) -> str:
    """Every figure: median, least and most of all rounds, and ours as a multiple of it."""
    by_part: dict[str, dict[str, list[Told]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if "failed" not in row:
            by_part[row["part"]][row["name"]].append(row)
    lines: list[str] = []
    for part, by_name in by_part.items():
        figure, title = SHOWN[part]
        lines += ["", f"## {title}", "", "| | median | min | max | ours : it | p99 ms | CPU ms | lost | repeated |"]
        lines += ["|---|---|---|---|---|---|---|---|---|"]
        mine = median(row[figure] for row in by_name["postcommit"]) if "postcommit" in by_name else None
        better = sorted(
            by_name, key=lambda name: median(row[figure] for row in by_name[name]), reverse=figure == "rate"
        )
        for name in better:
            values = [row[figure] for row in by_name[name]]
            ratio = f"{mine / median(values):.2f}" if mine else ""
            rest = [_median(by_name[name], key) for key in ("p99_ms", "cpu_ms")]
            rest += [str(sum(row.get(key, 0) for row in by_name[name])) for key in ("lost", "repeated")]
            numbers = [_number(number) for number in (median(values), min(values), max(values))]
            lines.append(f"| {' | '.join([name, *numbers, ratio, *rest])} |")
    return "\n".join(lines)


def _median(rows: Sequence[Told], key: str) -> str:
    values = [row[key] for row in rows if key in row]
    return _number(median(values)) if values else ""


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
