"""The hook of mkdocs: adds the generated pages and the changelog, and leads links out of `docs/` to where they can be followed.

Pages link to files of the repository by relative paths. A site holds no repository, so that such a link becomes the path as code, unless the
file is a page of the site itself.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from reference import api, command, http, recipe

ROOT = Path(__file__).parents[1]
GENERATED: dict[str, Callable[[], str]] = {
    "recipe.md": recipe.page,
    "command.md": command.page,
    "http.md": http.page,
    "api.md": api.page,
    "changelog.md": lambda: (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").replace("](docs/", "]("),
    "contributing.md": lambda: (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").replace("](docs/", "]("),
}
PAGES = {"../CHANGELOG.md": "changelog.md", "../CONTRIBUTING.md": "contributing.md"}


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that no file of `docs/` holds."""
    for name, write in GENERATED.items():
        files.append(File.generated(config, name, content=write()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace links to files outside `docs/`."""
    return re.sub(r"\[([^\]]*)\]\((\.\./[^)]*)\)", _inside, markdown)


def _inside(link: re.Match[str]) -> str:
    words, target = link.groups()
    if (page := PAGES.get(target)) is not None:
        return f"[{words}]({page})"
    path = posixpath.normpath(target.removeprefix("../"))
    return words if path in words else f"{words} (`{path}`)"
