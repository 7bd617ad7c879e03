"""The AsyncAPI document as a page: plain HTML, its style within it, no script, no other host."""

import json
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from html import escape
from typing import Any

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
code, pre { font: 14px/1.4 ui-monospace, monospace; background: #f4f4f4 }
pre { padding: .75rem; overflow-x: auto } code { padding: 0 .2rem }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .25rem .75rem .25rem 0;
border-bottom: 1px solid #ddd; vertical-align: top } summary { cursor: pointer }
section { border-top: 2px solid #222; margin-top: 2rem }
""".strip()
HASH = b64encode(sha256(STYLE.encode()).digest()).decode()
POLICY = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


def html(document: Any) -> str:
    """The whole page."""
    info, parts = document["info"], document["components"]
    title = f"{info['title']} {info['version']}: events"
    channels = document["channels"].items()
    headers = parts["messageTraits"]["fact"]["headers"]
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>
<style>{STYLE}</style></head>
<body>
<h1>{escape(title)}</h1>
<p>{escape(info["description"])}</p>
<p>For programs: <a href="/asyncapi.json">the AsyncAPI document</a>, <a href="/schemas">the JSON Schemas</a>.</p>
<h2>Subjects</h2>
{_table(("event", "subject"), ((_link(name), f"<code>{escape(one['address'])}</code>") for name, one in channels))}
<h2>Headers</h2>
{_table(("header", "always", "what it says"), _headers(headers))}
{"".join(_channel(name, channel, parts) for name, channel in channels)}
</body>
</html>
"""


def _link(name: str) -> str:
    return f'<a href="#{escape(name)}">{escape(name)}</a>'


def _headers(headers: Any) -> Iterable[tuple[str, ...]]:
    for name, told in headers["properties"].items():
        yield f"<code>{escape(name)}</code>", "yes" if name in headers["required"] else "", escape(told["description"])


def _channel(name: str, channel: Any, parts: Any) -> str:
    messages = (parts["messages"][reference["$ref"].rpartition("/")[2]] for reference in channel["messages"].values())
    return f"""<section id="{escape(name)}"><h2>{escape(name)}</h2>
<p><code>{escape(channel["address"])}</code></p>
{"".join(_message(message, parts["schemas"][message["name"]]) for message in messages)}</section>
"""


def _message(message: Any, schema: Any) -> str:
    name, _, version = message["name"].rpartition(".v")
    old = " (no longer written)" if message.get("deprecated") else ""
    return f"""<h3>{escape(message["name"])}{old}</h3>
<p>{escape(message["summary"])} <a href="/schemas/{escape(name)}/{escape(version)}">Its schema.</a></p>
{_table(("field", "type", "always"), _fields(schema))}
<details><summary>Example</summary><pre>{_json(message["examples"][0])}</pre></details>
<details><summary>Schema</summary><pre>{_json(schema)}</pre></details>
"""


def _fields(schema: Any) -> Iterable[tuple[str, ...]]:
    for name, told in schema.get("properties", {}).items():
        yield f"<code>{escape(name)}</code>", escape(_type(told)), "yes" if name in schema["required"] else ""


def _type(told: Any) -> str:
    if "anyOf" in told:
        return " or ".join(_type(one) for one in told["anyOf"])
    if "$ref" in told:
        return str(told["$ref"].rpartition("/")[2])
    return str(told.get("format") or told.get("type") or "anything")


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f"<table><tr>{head}</tr>{body}</table>"
        if body
        else "<p>It has no fields: that it happened is all, or the rest is personal.</p>"
    )


def _json(value: Any) -> str:
    return escape(json.dumps(value, indent=2, ensure_ascii=False))
