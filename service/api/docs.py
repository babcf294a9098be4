"""``/docs``: every route from the OpenAPI schema, as one plain page."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from service.api.page import document

Schema = Mapping[str, Any]


def docs_page(schema: Schema) -> str:
    """HTML without scripts; the schema itself is at ``/openapi.json``."""
    routes = "".join(_route(verb, path, route, schema) for path, verbs in schema["paths"].items() for verb, route in verbs.items())
    body = (
        '<header class="top"><strong>Tiltmeter API</strong><span><a href="/">Status</a></span></header>'
        f'<main><p class="soft">{escape(schema["info"].get("summary", ""))} Everything that writes needs '
        "<code>Authorization: Bearer TOKEN</code>. Machine-readable: <a href='/openapi.json'>/openapi.json</a>.</p>"
        f"<section>{routes}</section></main>"
    )
    return document("Tiltmeter API", body)


def _route(verb: str, path: str, route: Schema, schema: Schema) -> str:
    parameters = [_row(p["name"], _kind(p["schema"], schema), p.get("description", ""), p["in"]) for p in route.get("parameters", [])]
    fields = [_row(*row, "body") for row in _body(route, schema)]
    answers = [_row(code, "", answer.get("description", ""), "answer") for code, answer in route.get("responses", {}).items()]
    lock = ' <span class="pill quiet">token</span>' if route.get("security") else ""
    return (
        f'<article class="route"><h2><span class="verb">{verb.upper()}</span><code>{escape(path)}</code>{lock}</h2>'
        f"<p><b>{escape(route.get('summary', ''))}</b> · {escape(route.get('description', ''))}</p>"
        f"<table>{''.join(parameters + fields + answers)}</table>{_example(verb, path, route)}</article>"
    )


def _row(name: str, kind: str, text: str, place: str) -> str:
    about = f'<span class="soft">{escape(place)}{" · " + escape(kind) if kind else ""}</span>'
    return f"<tr><th><code>{escape(name)}</code></th><td>{about}<br>{escape(text)}</td></tr>"


def _body(route: Schema, schema: Schema) -> Iterator[tuple[str, str, str]]:
    """Name, type and meaning of every field of a JSON body."""
    content = route.get("requestBody", {}).get("content", {}).get("application/json", {})
    found = _resolve(content.get("schema", {}), schema)
    needed = found.get("required", ())
    for name, field in found.get("properties", {}).items():
        yield name, _kind(field, schema) + (", required" if name in needed else ""), field.get("description", "")


def _resolve(found: Schema, schema: Schema) -> Schema:
    """The object behind a reference, or the first of several choices."""
    if "$ref" in found:
        return _resolve(schema["components"]["schemas"][found["$ref"].rsplit("/", 1)[-1]], schema)
    for choice in (*found.get("oneOf", ()), *found.get("anyOf", ())):
        return _resolve(choice, schema)
    return found


def _kind(found: Schema, schema: Schema) -> str:
    found = _resolve(found, schema)
    if "enum" in found:
        return " or ".join(map(str, found["enum"]))
    kind = found.get("type", "")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _example(verb: str, path: str, route: Schema) -> str:
    """A curl line; the example record where the schema has one."""
    content = route.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    example = next((c["example"] for c in (content, *content.get("oneOf", ())) if "example" in c), None)
    parts = ["curl"]
    if verb != "get":
        parts += ["-X", verb.upper(), "-H", '"Authorization: Bearer $TILTMETER_TOKEN"']
    if example is not None:
        parts += ["-d", f"'{json.dumps(example)}'"]
    return f"<pre>{escape(' '.join([*parts, 'http://localhost:9108' + path]))}</pre>"
