"""The page of the HTTP interface: the routes of `shotsmith serve`, from its OpenAPI description."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from reference.markdown import cell, code, table
from reference.schema import Schema, default, described, reference
from shotsmith.library.selector import Selector
from shotsmith.serve.app import create_app
from shotsmith.serve.settings import ServeSettings

HEAD = """# The HTTP interface

What `shotsmith serve` answers; the page is written from the server's OpenAPI description. A running server shows the
same under `/docs`, and as JSON under `/openapi.json`. [Serving](serving.md) explains the routes, with commands to
try, and lists the errors.
"""


class _Empty:
    """Stands for a selector: the description of the routes depends on none."""

    name = ""

    def __len__(self) -> int:
        return 0


def description() -> dict[str, Any]:
    """The OpenAPI description of the server."""
    return create_app(cast(Selector, _Empty()), ServeSettings()).openapi()


def page() -> str:
    """The page as Markdown."""
    whole = description()
    parts = [HEAD]
    for path, methods in whole["paths"].items():
        for method, route in methods.items():
            parts += [f"## `{method.upper()} {path}`\n", " ".join(route["description"].split()) + "\n"]
            parts += list(_bodies(route, whole))
    return "\n".join(parts)


def _bodies(route: Schema, whole: Schema) -> Iterator[str]:
    if "requestBody" in route:
        yield from _body("Request", route["requestBody"], whole)
    for status, answer in route["responses"].items():
        if status == "200":
            yield from _body("Answer", answer, whole)


def _body(title: str, body: Schema, whole: Schema) -> Iterator[str]:
    contents: list[Schema] = list(body.get("content", {}).values())
    name = reference(contents[0].get("schema", {})) if contents else None
    if name is not None:
        yield f"**{title}**: `{name}`\n"
        yield from _definition(name, whole, set())


def _definition(name: str, whole: Schema, done: set[str]) -> Iterator[str]:
    """The fields of a definition, and after it the definitions that its fields refer to."""
    done.add(name)
    schema = whole["components"]["schemas"][name]
    required = schema.get("required", ())
    rows, inner = [], []
    for field_name, field in schema["properties"].items():
        kind, named = _kind(field)
        inner += [one for one in named if one not in done]
        shown = (
            "(required)" if field_name in required else code(default(field["default"])) if "default" in field else ""
        )
        rows.append([code(field_name), cell(kind), cell(shown), cell(field.get("description", ""))])
    yield table(["field", "type", "default", "meaning"], rows) + "\n"
    for one in dict.fromkeys(inner):
        yield f"`{one}`:\n"
        yield from _definition(one, whole, done)


def _kind(field: Schema) -> tuple[str, list[str]]:
    """The type of a field in words, and the definitions that it names."""
    if "$ref" in field:
        name = str(reference(field))
        return code(name), [name]
    if "anyOf" in field:
        parts = [_kind(part) for part in field["anyOf"] if part.get("type") != "null"]
        words = [kind for kind, _ in parts] + (["`null`"] if len(parts) < len(field["anyOf"]) else [])
        return " or ".join(dict.fromkeys(words)), [name for _, names in parts for name in names]
    if field.get("type") == "array" and "items" in field:
        kind, names = _kind(field["items"])
        return f"list ({kind})", names
    return described(field), []
