"""The site is whole: links and anchors lead somewhere, every page is reached, and the reference leaves nothing out."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel
from typer.main import get_command

import shotsmith
from reference import api, benchmarks, command, http, recipe
from reference.pages import GENERATED
from shotsmith.cli import app
from shotsmith.recipe import Recipe

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md")])
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub and the site write it."""
    return re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()).replace(" ", "-")


def anchors(text: str) -> set[str]:
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", without_code(text), re.M)}


def text_of(page: Path) -> str | None:
    """What a link to this path shows: the file, or the page that the site generates there; None where there is none."""
    if page.is_file():
        return page.read_text(encoding="utf-8") if page.suffix == ".md" else ""
    if page.parent == DOCS and page.name in GENERATED:
        return GENERATED[page.name]()
    return "" if page.is_dir() else None


def broken(text: str, page: Path) -> list[str]:
    found = []
    for link in LINK.findall(without_code(text)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        shown = text_of((page.parent / path).resolve()) if path else text
        if shown is None or (anchor and anchor not in anchors(shown)):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_anchor_leads_somewhere(page: Path) -> None:
    assert broken(page.read_text(encoding="utf-8"), page) == []


@pytest.mark.parametrize("name", [name for name in GENERATED if name != "api.md"])
def test_every_link_of_a_generated_page_leads_somewhere(name: str) -> None:
    assert broken(GENERATED[name](), DOCS / name) == []


def test_broken_links_are_found() -> None:
    whole = "[d](policies.md#pools) [e](../README.md) [f](#here)\n\n# Here"
    text = f"[a](absent.md) [b](policies.md#absent) [c](#absent) {whole}"
    assert broken(text, DOCS / "index.md") == ["absent.md", "policies.md#absent", "#absent"]


def test_every_page_is_in_the_navigation_once() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = re.findall(r": (\w+\.md)$", text.split("\nnav:\n")[1], re.M)
    assert sorted(named) == sorted([*(page.name for page in DOCS.glob("*.md")), *GENERATED])


def sections(model: type[BaseModel], place: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Every section of the recipe by its full name."""
    yield place, model
    for name, field in model.model_fields.items():
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from sections(part, f"{place}.{name}" if place else name)


def rows_under(page: str, heading: str) -> dict[str, list[str]]:
    """The rows of the table under a heading by the code in their first cell."""
    body = re.split(r"^#+ ", page.split(f" {heading}\n", 1)[1], maxsplit=1, flags=re.M)[0]
    lines = [re.split(r" (?<!\\)\| ", line.strip("| ")) for line in body.splitlines() if line.startswith("| `")]
    return {cells[0].split("`")[1]: cells for cells in lines}


def test_the_recipe_has_every_setting_with_its_meaning() -> None:
    page = recipe.page()
    for place, model in sections(Recipe):
        rows = rows_under(page, f"`{place}`" if place else "The recipe itself")
        assert rows.keys() == model.model_fields.keys(), place
        assert [name for name, cells in rows.items() if len(cells) != 4 or not cells[3].strip()] == [], place


def test_the_recipe_shows_defaults_and_choices() -> None:
    rows = rows_under(recipe.page(), "`grpo`")
    assert rows["learning_rate"][1:3] == ["number, above 0", "`0.0005`"]
    assert rows["schedule"][1] == "`constant` or `linear` or `cosine`"
    assert rows["epochs"][2] == f"`{Recipe.model_fields['grpo'].default.epochs}`"


def leaves(group: Any, names: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, verb in group.commands.items():
        yield " ".join([*names, name]), verb
        yield from leaves(verb, (*names, name)) if hasattr(verb, "commands") else ()


def test_the_command_has_every_verb_with_every_option() -> None:
    page = command.page()
    for name, verb in leaves(get_command(app)):
        body = re.split(r"^##", page.split(f"# `shotsmith {name}`\n", 1)[1], maxsplit=1, flags=re.M)[0]
        options = {option for one in verb.params for option in one.opts if option.startswith("--")} - {"--help"}
        assert {option for option in options if f"{option}" not in body} == set(), name
        assert body.strip() and f"shotsmith {name}" in body


def test_the_http_interface_has_every_route_with_every_field() -> None:
    page, whole = http.page(), http.description()
    for path, methods in whole["paths"].items():
        for method in methods:
            assert f"## `{method.upper()} {path}`" in page
    for name, schema in whole["components"]["schemas"].items():
        if "ValidationError" not in name:
            assert all(f"| `{field}` |" in page for field in schema["properties"]), name
            assert name in page
    assert "| `shots` | whole number, at least 0, at most 64 or `auto` | `4` |" in page


def test_the_api_has_every_public_name_and_every_error() -> None:
    named = re.findall(r"^::: ([\w.]+)\n    options:\n      heading: ([\w.]+)$", api.page(), re.M)
    for identifier, _ in named:
        home, _, name = identifier.rpartition(".")
        assert getattr(importlib.import_module(home), name).__doc__, identifier
    public = {heading.removeprefix("shotsmith.") for _, heading in named if heading.count(".") == 1}
    assert public == set(shotsmith.__all__)
    assert {heading for _, heading in named if ".errors." in heading} >= {
        f"shotsmith.errors.{name}" for name in ("InputError", "RecipeError", "DataError", "VLMError", "StoreError")
    }


def test_the_benchmarks_are_all_described() -> None:
    page = benchmarks.page()
    scripts = [
        path.name for path in (ROOT / "benchmarks").glob("*.py") if "__main__" in path.read_text(encoding="utf-8")
    ]
    assert sorted(re.findall(r"^## (\w+\.py)$", page, re.M)) == sorted(scripts)
    assert [name for name in scripts if len(page.split(f"## {name}\n")[1].split("\n## ")[0].strip()) < 40] == []


def test_the_theme_and_the_search_load_nothing_from_elsewhere() -> None:
    text = re.sub(r"!!python/\S+", "", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    settings = yaml.safe_load(text)
    assert settings["theme"]["font"] is False
    for file in (*settings["extra"]["polyfills"], *settings["extra_css"]):
        assert (DOCS / file).is_file(), file
