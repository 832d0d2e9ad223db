"""What a JSON schema says of a field, in words: its type with its bounds, and its default."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

LARGE = 1_000_000_000
"""Upper bounds from here on only keep absurd numbers out, and are left out."""
TYPES = {"integer": "whole number", "number": "number", "string": "text", "boolean": "`true` or `false`"}
BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}


def reference(field: Schema) -> str | None:
    """The name of the definition that a field refers to, also where null may stand in its place."""
    for part in (field, *field.get("anyOf", ())):
        if "$ref" in part:
            return str(part["$ref"]).rsplit("/", 1)[-1]
    return None


def described(field: Schema) -> str:
    """The type of a field: "whole number, at least 1", "`linear` or `cosine`", "list of texts"."""
    if "anyOf" in field:
        parts = dict.fromkeys(described(part) for part in field["anyOf"] if part.get("type") != "null")
        null = any(part.get("type") == "null" for part in field["anyOf"])
        return " or ".join([*parts, *(["`null`"] if null else [])])
    if "enum" in field or "const" in field:
        values = field["enum"] if "enum" in field else [field["const"]]
        return " or ".join(f"`{value}`" for value in values)
    if (kind := field.get("type")) == "array":
        return f"list ({described(field['items'])})" if "items" in field else "list"
    if kind == "object" or "$ref" in field:
        values = field.get("additionalProperties")
        return f"mapping of names to values ({described(values)})" if isinstance(values, Mapping) else "mapping"
    if field.get("format") == "path":
        return "path"
    words = [TYPES[kind]] if kind is not None else ["any value"]
    words += [f"{word} {field[key]:g}" for key, word in BOUNDS.items() if key in field and abs(field[key]) < LARGE]
    return ", ".join(words)


def default(value: object) -> str:
    """A default as YAML writes it in one line."""
    return json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value
