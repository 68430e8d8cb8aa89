"""The API's description for people: a page made of what /openapi.json says, with the style sheet of the package."""

import html
from collections.abc import Iterable, Mapping
from typing import Any

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>ferjax: the API</title>
<link rel="icon" href="page/icon.svg" type="image/svg+xml"><link rel="stylesheet" href="page/page.css"></head>
<body class="api"><header><h1>The API</h1><p class="notice">"""
_TAIL = "</main></body></html>"
_EXAMPLES = {
    "/predict": (
        "curl --data-binary @photo.jpg http://127.0.0.1:8000/predict\n"
        "curl -F files=@a.jpg -F files=@b.png 'http://127.0.0.1:8000/predict?views=mirror'"
    )
}


def write_page(description: Mapping[str, Any]) -> str:
    """Return the page of an OpenAPI description that `openapi.describe` made."""
    info = description["info"]
    lead = f"{html.escape(info['description'])} For programs: <a href='openapi.json'>openapi.json</a>."
    sections = [
        _write_route(f"{method.upper()} {path}", _EXAMPLES.get(path, ""), route)
        for path, methods in description["paths"].items()
        for method, route in methods.items()
    ]
    columns = description["components"]["schemas"]["Row"]["properties"]
    rows = ", ".join(f"<code>{html.escape(name)}</code>" for name in columns)
    last = f"<section><h2>A row</h2><p>One for each face, null for what there is not: {rows}.</p></section>"
    return f"{_HEAD}{lead}</p></header><main>{''.join(sections)}{last}{_TAIL}"


def _write_route(name: str, example: str, route: Mapping[str, Any]) -> str:
    parts = [f"<h2><code>{html.escape(name)}</code></h2><p>{html.escape(route['summary'])}.</p>"]
    if "description" in route:
        parts.append(f"<p>{html.escape(route['description'])}</p>")
    if example:
        parts.append(f"<pre>{html.escape(example)}</pre>")
    if "parameters" in route:
        options = (
            (one["name"], _name_values(one["schema"]), str(one["schema"]["default"]).lower(), one["description"])
            for one in route["parameters"]
        )
        parts.append(_write_table(("option", "values", "default", "what it does"), options))
    answers = [(code, answer["description"]) for code, answer in route["responses"].items()]
    if any(text != route["summary"] for _, text in answers):
        parts.append(_write_table(("status", "what it says"), answers))
    return f"<section>{''.join(parts)}</section>"


def _name_values(schema: Mapping[str, Any]) -> str:
    return ", ".join(schema["enum"]) if "enum" in schema else "true, false"


def _write_table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
