"""The hook of mkdocs: adds the generated pages, adapts links, and checks that the site needs no other server.

Pages link to files of the repository by relative paths. A site holds no repository, so that such a link becomes the
path as code, unless the file is a page of the site itself.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from reference.pages import GENERATED

ROOT_PAGES = {"../CHANGELOG.md": "changelog.md", "../CONTRIBUTING.md": "contributing.md"}
FOREIGN = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)=[\"']?((?:https?:)?//[^\"'\s>]+)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that no file of `docs/` holds."""
    for name, write in GENERATED.items():
        files.append(File.generated(config, name, content=write()))
    return files


def on_page_markdown(markdown: str, config: Any, **_: Any) -> str:
    """Replace links to files outside `docs/`, and name pages by their titles instead of their files."""
    titles = _titles(config["nav"])
    named = re.sub(r"\[(\w+\.md)\]\(", lambda link: f"[{titles.get(link[1], link[1])}](", markdown)
    return re.sub(r"\[([^\]]*)\]\((\.\./[^)]*)\)", _inside, named)


def on_post_build(config: Any) -> None:
    """Raise PluginError where a page loads something from another server. Links to follow may go anywhere."""
    for page in Path(config["site_dir"]).rglob("*.html"):
        if found := FOREIGN.search(page.read_text(encoding="utf-8")):
            raise PluginError(f"{page.name} loads {found[1]}: the site must be complete by itself")


def _titles(entries: Any) -> dict[str, str]:
    """What the navigation calls each page, by its file."""
    if isinstance(entries, list):
        return {file: title for entry in entries for file, title in _titles(entry).items()}
    title, value = next(iter(entries.items()))
    return {value: title} if isinstance(value, str) else _titles(value)


def _inside(link: re.Match[str]) -> str:
    words, target = link.groups()
    if (page := ROOT_PAGES.get(target)) is not None:
        return f"[{words}]({page})"
    path = posixpath.normpath(target.removeprefix("../"))
    return words if path in words else f"{words} (`{path}`)"
