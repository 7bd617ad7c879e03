"""Pages of our own: escaped text in tags, one style, nothing from anywhere else and no script."""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape

from litestar import Response

STYLE = """
:root { color-scheme: light dark; --line: light-dark(#d5d9e0, #3a404b); --soft: light-dark(#f4f6f9, #1d2129);
  --link: light-dark(#0b57d0, #8ab4f8); --quiet: light-dark(#5a6270, #a0a8b5) }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 64rem; padding: 1rem 1rem 4rem;
  background: light-dark(#fff, #14171c); color: light-dark(#1b1f27, #e4e7ec) }
a { color: var(--link) }
h1, h2, h3 { line-height: 1.25; margin: 2rem 0 .5rem }
h2 { border-bottom: 1px solid var(--line); padding-bottom: .25rem }
code, pre { font: .875rem/1.45 ui-monospace, monospace }
code { background: var(--soft); border-radius: .25rem; padding: .1em .3em; overflow-wrap: anywhere }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: .4rem; padding: .75rem; overflow: auto;
  max-height: 28rem; margin: .5rem 0 }
table { border-collapse: collapse; display: block; overflow: auto; margin: .5rem 0 }
th, td { border: 1px solid var(--line); padding: .3rem .6rem; text-align: left; vertical-align: top }
th { background: var(--soft) }
section { margin-bottom: 2.5rem }
summary { cursor: pointer }
nav ul { columns: 18rem; padding-left: 1.2rem }
.method { font-weight: 700; text-transform: uppercase }
.quiet { color: var(--quiet) }
"""
_HASH = b64encode(sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
HEADERS = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}


class Html(str):
    """Text that is markup already."""


def tag(name: str, *inside: str, **attributes: str) -> Html:
    """An element; what is inside is escaped, unless it is Html. `class_` is written for the attribute `class`."""
    marks = "".join(f' {key.rstrip("_")}="{escape(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{marks}>{''.join(map(_safe, inside))}</{name}>")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    """A table; empty where there are no rows."""
    if not rows:
        return Html("")
    cells = [tag("tr", *(tag("td", cell) for cell in row)) for row in rows]
    return tag("table", tag("tr", *(tag("th", name) for name in head)), *cells)


def coded(text: str) -> Html:
    """Text in which what stands between backticks is code."""
    parts = text.split("`")
    return Html("".join(tag("code", part) if number % 2 else escape(part) for number, part in enumerate(parts)))


def page(title: str, *inside: str) -> str:
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    body = tag("body", tag("h1", title), *inside)
    return f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head>{body}</html>'


def answer(html: str) -> Response[bytes]:
    return Response(html.encode(), headers=HEADERS, media_type="text/html")


def _safe(text: str) -> str:
    return text if isinstance(text, Html) else escape(text)
