"""The service's description for people, from its OpenAPI document: one page, no script, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; } body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
padding: 0 1rem; } code, pre { font: 14px ui-monospace, monospace; } pre { padding: .8rem; overflow-x: auto;
border: 1px solid #8886; border-radius: .4rem; } section { border-top: 1px solid #8886; margin-top: 1.5rem; }
table { border-collapse: collapse; } td { padding: .1rem 1rem .1rem 0; vertical-align: top; }
.method { font-weight: 700; }
"""
_EXAMPLE = """curl -F file=@clip.mp4 -F tasks=squat http://127.0.0.1:8600/jobs
curl http://127.0.0.1:8600/jobs/JOB
curl "http://127.0.0.1:8600/jobs/JOB/results/squat?format=csv"
curl -H "Content-Type: application/json" --data-binary @poses.json http://127.0.0.1:8600/poses/squat
with tokens, add: -H "Authorization: Bearer TOKEN"
"""


def docs_page(document: Mapping[str, Any]) -> str:
    """The OpenAPI document as HTML."""
    info = document["info"]
    parts = [
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info['description'])}</p>",
        f'<pre>{escape(_EXAMPLE)}</pre><p>For programs: <a href="openapi.json">openapi.json</a></p>',
    ]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parts.append("".join(_operation(method, path, operation, document)))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>"
    )


def _operation(method: str, path: str, operation: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    yield f'<section><h2><span class="method">{method.upper()}</span> <code>{escape(path)}</code></h2>'
    yield f"<p>{escape(operation.get('description') or operation.get('summary', ''))}</p><table>"
    for parameter in operation.get("parameters", []):
        yield _row(parameter["name"], parameter["in"], parameter.get("description", ""))
    body = operation.get("requestBody", {})
    for kind, content in body.get("content", {}).items():
        schema = content.get("schema", {})
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
        yield _row("body", kind, body.get("description", ""))
        for name, field in schema.get("properties", {}).items():
            yield _row(name, "field", field.get("description", ""))
    for status, response in operation.get("responses", {}).items():
        yield _row(status, "answer", response.get("description", ""))
    yield "</table></section>"


def _row(name: str, kind: str, text: str) -> str:
    return f"<tr><td><code>{escape(name)}</code></td><td>{escape(kind)}</td><td>{escape(text)}</td></tr>"
