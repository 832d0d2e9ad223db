"""The pages of the site that no file of `docs/` holds, and what writes each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from reference import api, benchmarks, command, http, recipe

ROOT = Path(__file__).parents[2]


def _changelog() -> str:
    return _from_root("CHANGELOG.md")


def _contributing() -> str:
    return _from_root("CONTRIBUTING.md")


def _from_root(name: str) -> str:
    """A page of the repository's root, with links as from `docs/`."""
    return (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")


GENERATED: dict[str, Callable[[], str]] = {
    "recipe.md": recipe.page,
    "command.md": command.page,
    "http.md": http.page,
    "api.md": api.page,
    "benchmarks.md": benchmarks.page,
    "changelog.md": _changelog,
    "contributing.md": _contributing,
}
