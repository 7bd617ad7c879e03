"""`python -m tests.bench.picture FILE.json > FILE.svg`: what `python -m tests.bench --json FILE.json` measured."""

import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path

from tests.bench.table import SHOWN, Figure, figures, number, read

WIDTH, NAME, BAR, ROW, HEAD, GAP = 860, 230, 480, 22, 34, 18  # pixels
OURS, THEIRS, INK, PAPER = "#b3541e", "#9aa5b1", "#1f2933", "#ffffff"


def picture(parts: Sequence[tuple[str, Sequence[Figure]]]) -> str:
    """One panel for each part, the best on top. Thin lines go from the least to the most of all rounds."""
    drawn, top = [], GAP
    for part, found in parts:
        drawn.append(_text(GAP, top + 14, SHOWN[part][1], weight="bold"))
        most = max(figure.most for figure in found)
        for place, figure in enumerate(found):
            drawn += _bar(figure, top + HEAD + place * ROW, most)
        top += HEAD + len(found) * ROW + GAP
    size = f'width="{WIDTH}" height="{top}" viewBox="0 0 {WIDTH} {top}"'
    begin = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13">'
    paper = f'<rect width="{WIDTH}" height="{top}" fill="{PAPER}"/>'
    return "\n".join([begin, paper, *drawn, "</svg>", ""])


def _bar(figure: Figure, top: int, most: float) -> list[str]:
    def width(value: float) -> float:
        return round(BAR * value / most, 1)

    colour = OURS if figure.name == "postcommit" else THEIRS
    middle, begin = top + 8, NAME + GAP
    end = max(width(figure.median), width(figure.most))
    least, spread = begin + width(figure.least), width(figure.most) - width(figure.least)
    return [
        _text(begin - 8, top + 12, figure.name, anchor="end"),
        f'<rect x="{begin}" y="{top}" width="{width(figure.median)}" height="16" fill="{colour}"/>',
        f'<rect x="{least:.1f}" y="{middle}" width="{spread:.1f}" height="1" fill="{INK}"/>',
        _text(begin + end + 8, top + 12, number(figure.median)),
    ]


def _text(x: float, y: float, text: str, anchor: str = "start", weight: str = "normal") -> str:
    told = f'text-anchor="{anchor}" font-weight="{weight}" fill="{INK}"'
    return f'<text x="{x:.1f}" y="{y}" {told}>{escape(text)}</text>'


def main(file: str) -> None:
    rows = read(Path(file))
    sys.stdout.write(picture([(part, figures(rows, part)) for part in SHOWN if figures(rows, part)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
