"""The page of the recipe: every section and every setting, with type, default and docstring."""

from __future__ import annotations

from collections.abc import Iterator

from reference.markdown import cell, code, table
from reference.schema import Schema, default, described, reference
from shotsmith.recipe import Recipe

HEAD = """# The recipe

A recipe is a YAML file that describes a whole experiment. This page lists every setting, with its type and its
default; it is written from the code. Only `data` has no default: a recipe that names its data and a VLM gets the
recommended training.

A setting is named by its sections and its own name, joined by dots: `grpo.learning_rate`. Any setting can be changed
on the command line with `--set grpo.learning_rate=2e-5`. Unknown names are errors. A recipe can also begin with
`base: OTHER.yaml`, a recipe beside it whose settings it changes.

The pages on [data](data.md), [encoders](encoders.md), [VLMs](vlms.md), [policies](policies.md),
[training](training.md) and [evaluation](evaluation.md) explain what the settings are for.
"""
REQUIRED = "(required)"


def page() -> str:
    """The page as Markdown."""
    return "\n".join([HEAD, *(part for part in _parts())])


def settings() -> list[str]:
    """The full names of all settings, sections left out."""
    return [name for place, schema, own in _sections() for name in _names(place, schema, own)]


def _names(place: str, schema: Schema, own: Schema) -> Iterator[str]:
    for name, field in schema["properties"].items():
        if reference(field) not in own["$defs"]:
            yield f"{place}.{name}" if place else name


def _sections() -> Iterator[tuple[str, Schema, Schema]]:
    """Every section with its full name and its schema, in the order of the recipe; the third is the whole schema."""
    whole = Recipe.model_json_schema()
    waiting: list[tuple[str, Schema]] = [("", whole)]
    while waiting:
        place, schema = waiting.pop(0)
        yield place, schema, whole
        inner = []
        for name, field in schema["properties"].items():
            if (kind := reference(field)) is not None:
                given = {key: value for key, value in field.items() if key in ("default", "description")}
                inner.append((f"{place}.{name}" if place else name, {**whole["$defs"][kind], "given": given}))
        waiting = inner + waiting


def _parts() -> Iterator[str]:
    for place, schema, _ in _sections():
        if place:
            yield f"{'#' * min(2 + place.count('.'), 4)} `{place}`\n"
            said = [schema.get("given", {}).get("description"), schema.get("description")]
            yield "\n\n".join(" ".join(text.split()) for text in said if text) + "\n"
            if schema["given"].get("default", ...) is None:
                yield f"Left out by default (`{place}: null`).\n"
        else:
            yield "## The recipe itself\n"
        yield table(["setting", "type", "default", "meaning"], _rows(place, schema)) + "\n"


def _rows(place: str, schema: Schema) -> Iterator[list[str]]:
    given = schema.get("given", {}).get("default") or {}
    for name, field in schema["properties"].items():
        if reference(field) is not None:
            full = f"{place}.{name}" if place else name
            anchor = full.replace(".", "")
            yield [code(name), "section", _default(name, field, {}, section=True), f"see [`{full}`](#{anchor})"]
        else:
            meaning = cell(field.get("description", ""))
            yield [code(name), cell(described(field)), _default(name, field, given), meaning]


def _default(name: str, field: Schema, given: Schema, *, section: bool = False) -> str:
    if section:
        if "default" not in field:
            return REQUIRED
        return code("null") if field["default"] is None else ""
    if name in given:
        return code(cell(default(given[name]))) or '`""`'
    return code(cell(default(field["default"]))) if "default" in field else REQUIRED
